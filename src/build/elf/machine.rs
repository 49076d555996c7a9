//! What ld.so takes from the machine: names, directories, and the levels that its CPU reaches.

use std::path::Path;

use super::root::HostRoot;

/// What is fixed per architecture in glibc's dynamic linker.
#[derive(Debug)]
pub(super) struct Machine {
    /// `e_machine` (elf(5)).
    pub code: u16,
    /// How people call it.
    pub name: &'static str,
    /// Where the ABI puts the dynamic linker.
    pub interpreter: &'static str,
    /// The `DT_SONAME` of glibc's dynamic linker, under whatever path it runs.
    pub interpreter_soname: &'static str,
    /// The directory of Debian's multiarch layout.
    pub triplet: &'static str,
    /// `flags` of a library of this architecture in ld.so.cache (glibc, `dl-cache.h`).
    pub cache_flags: u32,
    /// The least value of `AT_PLATFORM` (getauxval(3)).
    platform: &'static str,
}

/// The architecture that this program was built for, which is the one that it can jail.
#[cfg(target_arch = "x86_64")]
pub(super) const NATIVE: Machine = Machine {
    code: 62,
    name: "x86-64",
    interpreter: "/lib64/ld-linux-x86-64.so.2",
    interpreter_soname: "ld-linux-x86-64.so.2",
    triplet: "x86_64-linux-gnu",
    cache_flags: 0x0303,
    platform: "x86_64",
};

/// The architecture that this program was built for, which is the one that it can jail.
#[cfg(target_arch = "aarch64")]
pub(super) const NATIVE: Machine = Machine {
    code: 183,
    name: "AArch64",
    interpreter: "/lib/ld-linux-aarch64.so.1",
    interpreter_soname: "ld-linux-aarch64.so.1",
    triplet: "aarch64-linux-gnu",
    cache_flags: 0x0a03,
    platform: "aarch64",
};

/// Names of the architectures that a file is likely to be for (`e_machine`, elf.h).
const NAMES: &[(u16, &str)] = &[
    (2, "SPARC"),
    (3, "i386"),
    (8, "MIPS"),
    (20, "PowerPC"),
    (21, "PowerPC64"),
    (22, "S/390"),
    (40, "ARM"),
    (43, "SPARC V9"),
    (62, "x86-64"),
    (183, "AArch64"),
    (243, "RISC-V"),
    (247, "BPF"),
    (258, "LoongArch"),
];

/// Words for a machine code, and for what sets the file apart where the code does not.
pub(super) fn describe(code: u16, bits: u8, little_endian: bool) -> String {
    let name = match NAMES.iter().find(|(known, _)| *known == code) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("machine {code}"),
    };
    let order = if little_endian { "" } else { ", big-endian" };
    format!("{name}, {bits} bits{order}")
}

/// Where the C library of a host was configured to look.
#[derive(Debug)]
pub(super) struct Layout {
    /// The directories searched last, each with a slash at its end.
    pub directories: Vec<String>,
    /// What `$LIB` stands for.
    pub lib: String,
    /// What `$PLATFORM` stands for.
    pub platform: &'static str,
}

impl Layout {
    /// The layout of the host at `root`: multiarch if its dynamic linker lives in the directory
    /// that Debian gives it (`ld.so --list-diagnostics` prints `path.system_dirs` and
    /// `dl_dst_lib`), otherwise the `lib64` of the upstream build.
    pub fn of(root: &HostRoot) -> Self {
        let home = root
            .open(NATIVE.interpreter)
            .ok()
            .and_then(|file| root.real_path(&file).ok());
        let multiarch = match home
            .as_deref()
            .and_then(Path::parent)
            .and_then(Path::file_name)
        {
            Some(directory) => directory == NATIVE.triplet,
            None => root.is_directory(&format!("/lib/{}", NATIVE.triplet)),
        };
        if multiarch {
            Self::multiarch()
        } else {
            Self::upstream()
        }
    }

    fn multiarch() -> Self {
        let lib = format!("lib/{}", NATIVE.triplet);
        let directories = vec![
            format!("/{lib}/"),
            format!("/usr/{lib}/"),
            "/lib/".into(),
            "/usr/lib/".into(),
        ];
        Self {
            directories,
            lib,
            platform: platform(),
        }
    }

    fn upstream() -> Self {
        let directories = vec!["/lib64/".into(), "/usr/lib64/".into()];
        Self {
            directories,
            lib: "lib64".into(),
            platform: platform(),
        }
    }
}

/// The subdirectories of `glibc-hwcaps` that this CPU reaches, best first (x86-64 psABI,
/// "micro-architecture levels"; ld.so(8)). `LAHF`, which `x86-64-v2` also asks for, cannot be
/// asked of the standard library; every CPU with SSE4.2 has it.
#[cfg(target_arch = "x86_64")]
pub(super) fn levels() -> Vec<&'static str> {
    use std::is_x86_feature_detected as has;
    let v2 = has!("cmpxchg16b")
        && has!("popcnt")
        && has!("sse3")
        && has!("sse4.1")
        && has!("sse4.2")
        && has!("ssse3");
    let v3 = v2
        && has!("avx")
        && has!("avx2")
        && has!("bmi1")
        && has!("bmi2")
        && has!("f16c")
        && has!("fma")
        && has!("lzcnt")
        && has!("movbe");
    let v4 = v3
        && has!("avx512f")
        && has!("avx512bw")
        && has!("avx512cd")
        && has!("avx512dq")
        && has!("avx512vl");
    [(v4, "x86-64-v4"), (v3, "x86-64-v3"), (v2, "x86-64-v2")]
        .into_iter()
        .filter_map(|(reached, level)| reached.then_some(level))
        .collect()
}

/// glibc defines no `glibc-hwcaps` subdirectory for this architecture.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn levels() -> Vec<&'static str> {
    Vec::new()
}

/// What `$PLATFORM` stands for: `AT_PLATFORM`, which glibc replaces on an Intel CPU with AVX2
/// and its companions by `haswell` (glibc, `sysdeps/x86/cpu-features.c`).
#[cfg(target_arch = "x86_64")]
fn platform() -> &'static str {
    use std::is_x86_feature_detected as has;
    let haswell = has!("avx2")
        && has!("bmi1")
        && has!("bmi2")
        && has!("lzcnt")
        && has!("movbe")
        && has!("popcnt")
        && has!("fma");
    if haswell && is_intel() {
        "haswell"
    } else {
        NATIVE.platform
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn platform() -> &'static str {
    NATIVE.platform
}

#[cfg(target_arch = "x86_64")]
fn is_intel() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| {
        text.lines()
            .any(|line| line.starts_with("vendor_id") && line.ends_with("GenuineIntel"))
    })
}
