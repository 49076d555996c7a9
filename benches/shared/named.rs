//! A small named of the benchmark's own: configuration, one zone, a spec.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

use super::{Account, Place, Result, spec_of};

/// The program that Debian's bind9 brings.
pub const PROGRAM: &str = "/usr/sbin/named";

/// The port that it serves.
pub const PORT: u16 = 22053;

/// Where its files are, and the command that starts it.
pub struct Named {
    /// Configuration and zone; read only.
    pub configuration: PathBuf,
    /// Its working directory.
    pub cache: PathBuf,
    /// The whole command line.
    pub command: Vec<String>,
}

impl Named {
    /// Writes the files. The same command is run outside and inside a jail.
    ///
    /// # Errors
    /// As `open(2)`.
    pub fn new(place: &Place, account: &Account) -> Result<Self> {
        let configuration = place.path().join("named");
        let cache = place.path().join("cache");
        fs::create_dir(&configuration)?;
        fs::create_dir(&cache)?;
        chown(&cache, Some(account.uid), Some(account.gid))?;
        let zone = configuration.join("zone");
        let file = configuration.join("named.conf");
        fs::write(
            &file,
            format!(
                "options {{ directory {cache:?}; listen-on port {PORT} {{ 127.0.0.1; }}; \
                 listen-on-v6 {{ none; }}; recursion no; pid-file none; session-keyfile none; \
                 minimal-responses yes; }};\ncontrols {{ }};\n\
                 zone \"example.test\" {{ type primary; file {zone:?}; }};\n"
            ),
        )?;
        fs::write(
            zone,
            "$TTL 3600\n@ IN SOA ns hostmaster 1 3600 600 86400 300\n@ IN NS ns\n\
             ns IN A 127.0.0.1\nwww IN A 127.0.0.2\n@ IN MX 10 mail\nmail IN A 127.0.0.3\n",
        )?;
        let command = [PROGRAM, "-f", "-c", &file.to_string_lossy()].map(str::to_owned);
        Ok(Self {
            configuration,
            cache,
            command: command.to_vec(),
        })
    }

    /// A jail with all layers for it.
    pub fn spec(&self, name: &str, account: &Account) -> String {
        let file = |path: &str, kind: &str| {
            format!("  {{ path = {path:?}, kind = {kind:?}, because = \"a benchmark\" }},\n")
        };
        let files: String = [
            ("/etc/localtime", "data"),
            ("/etc/protocols", "data"),
            ("/etc/services", "data"),
            ("/usr/lib/ssl/openssl.cnf", "data"),
            (PROGRAM, "program"),
        ]
        .into_iter()
        .filter(|(path, _)| fs::exists(path).unwrap_or(false))
        .map(|(path, kind)| file(path, kind))
        .collect();
        let bind = |path: &PathBuf, writable: bool| {
            format!("  {{ path = {path:?}, writable = {writable}, because = \"a benchmark\" }},\n")
        };
        spec_of(name, &self.command, account, &format!("{:?}", self.cache))
            + &format!(
                "[tree]\nfiles = [\n{files}]\nbinds = [\n{}{}]\n\
                 devices = [\n  {{ path = \"/dev/null\", device = \"null\", because = \"a \
                 benchmark\" }},\n  {{ path = \"/dev/urandom\", device = \"urandom\", because = \
                 \"a benchmark\" }},\n]\n",
                bind(&self.configuration, false),
                bind(&self.cache, true),
            )
    }
}
