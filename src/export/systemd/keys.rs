//! The keys that are written, and since which version of systemd each is known (its `NEWS`).

/// A key of a unit file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its section.
    pub section: &'static str,
    /// The first version that knows it, with the values that are written here.
    pub since: u32,
    /// What a drop-in assigns is added to what the unit has, unless an empty assignment comes first.
    pub adds: bool,
}

const fn key(section: &'static str, name: &'static str, since: u32) -> Key {
    Key {
        name,
        section,
        since,
        adds: false,
    }
}

const fn adding(section: &'static str, name: &'static str, since: u32) -> Key {
    Key {
        name,
        section,
        since,
        adds: true,
    }
}

/// The oldest version that units are written for: the first with `TemporaryFileSystem`, without
/// which a place in memory would be missing.
pub const OLDEST: u32 = 238;

/// All of them, in the order in which they are written.
pub const KEYS: &[Key] = &[
    key("Unit", "Description", 1),
    adding("Unit", "After", 1),
    adding("Unit", "Wants", 1),
    key("Unit", "StartLimitIntervalSec", 230),
    key("Unit", "StartLimitBurst", 230),
    key("Service", "Type", 1),
    key("Service", "NotifyAccess", 1),
    key("Service", "PIDFile", 1),
    adding("Service", "EnvironmentFile", 1),
    adding("Service", "ExecStart", 1),
    adding("Service", "ExecReload", 1),
    adding("Service", "ExecStop", 1),
    key("Service", "TimeoutStopSec", 188),
    key("Service", "Restart", 1),
    key("Service", "RestartSec", 1),
    key("Service", "RestartSteps", 254),
    key("Service", "RestartMaxDelaySec", 254),
    key("Service", "WatchdogSec", 183),
    adding("Service", "Sockets", 1),
    key("Service", "User", 1),
    key("Service", "Group", 1),
    adding("Service", "SupplementaryGroups", 1),
    key("Service", "WorkingDirectory", 1),
    key("Service", "UMask", 1),
    adding("Service", "Environment", 1),
    adding("Service", "UnsetEnvironment", 235),
    key("Service", "StandardInput", 1),
    key("Service", "StandardOutput", 1),
    key("Service", "StandardError", 1),
    key("Service", "SyslogIdentifier", 1),
    key("Service", "RootDirectory", 1),
    key("Service", "RootDirectoryStartOnly", 1),
    adding("Service", "BindReadOnlyPaths", 233),
    adding("Service", "BindPaths", 233),
    adding("Service", "TemporaryFileSystem", 238),
    key("Service", "ProtectSystem", 232),
    key("Service", "ProtectHome", 214),
    adding("Service", "ReadWritePaths", 231),
    adding("Service", "ReadOnlyPaths", 231),
    adding("Service", "InaccessiblePaths", 231),
    adding("Service", "NoExecPaths", 248),
    adding("Service", "ExecPaths", 248),
    key("Service", "PrivateTmp", 183),
    key("Service", "PrivateDevices", 209),
    key("Service", "DevicePolicy", 208),
    key("Service", "PrivateMounts", 239),
    key("Service", "PrivateIPC", 248),
    key("Service", "PrivateNetwork", 33),
    key("Service", "PrivateUsers", 232),
    key("Service", "ProtectHostname", 242),
    key("Service", "ProtectClock", 245),
    key("Service", "ProtectControlGroups", 232),
    key("Service", "ProtectKernelLogs", 244),
    key("Service", "ProtectKernelModules", 232),
    key("Service", "ProtectKernelTunables", 232),
    key("Service", "ProtectProc", 247),
    key("Service", "ProcSubset", 247),
    key("Service", "NoNewPrivileges", 187),
    adding("Service", "CapabilityBoundingSet", 21),
    adding("Service", "AmbientCapabilities", 229),
    key("Service", "KeyringMode", 235),
    key("Service", "LockPersonality", 235),
    key("Service", "MemoryDenyWriteExecute", 231),
    key("Service", "RemoveIPC", 232),
    adding("Service", "RestrictAddressFamilies", 211),
    key("Service", "RestrictNamespaces", 233),
    key("Service", "RestrictRealtime", 231),
    key("Service", "RestrictSUIDSGID", 242),
    adding("Service", "SocketBindAllow", 249),
    adding("Service", "SocketBindDeny", 249),
    adding("Service", "SystemCallArchitectures", 209),
    key("Service", "SystemCallErrorNumber", 209),
    adding("Service", "SystemCallFilter", 187),
    key("Service", "LimitCORE", 1),
    key("Service", "LimitNOFILE", 1),
    key("Service", "LimitFSIZE", 1),
    key("Service", "MemoryMax", 231),
    key("Service", "TasksMax", 227),
    adding("Install", "WantedBy", 1),
];

/// The first version with an empty list of address families (`RestrictAddressFamilies=none`).
pub const NO_FAMILY: u32 = 249;

/// The first version that waits for the program to be executed (`Type=exec`).
pub const TYPE_EXEC: u32 = 240;

/// The key of this name: `None` if none is written under it.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_there_once() {
        for (at, key) in KEYS.iter().enumerate() {
            let first = KEYS.iter().position(|other| other.name == key.name);
            assert_eq!(first, Some(at), "{}", key.name);
        }
    }
}
