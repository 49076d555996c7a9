//! Files: programs and libraries, the cache of the dynamic linker, manifests, traces.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use gaoler::build::Manifest;
use gaoler::build::elf::{self, Resolver, Sought, nearest};
use gaoler::learn;
use gaoler::spec::{Facts, derive};
use tempfile::TempDir;

/// Names that a cache is asked for. Those that the seeds have are among them.
const NAMES: [&str; 6] = [
    "liba.so.1",
    "libb.so.2",
    "libb.so.10",
    "a",
    "",
    "lib1.so.01",
];

/// How many places of a file are looked up, at equal distances.
const PLACES: u64 = 16;

/// Something that a cache can lead to.
const LIBRARY: &[u8] = include_bytes!("../corpus/elf/library");

thread_local! {
    /// The root of a host, made once: what is read there is written anew each time.
    static HOST: Host = Host::new();
}

/// A directory that stands for the root of a host.
struct Host {
    directory: TempDir,
}

impl Host {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("there is room for a directory");
        for name in ["etc", "lib", "lib64", "opt"] {
            fs::create_dir(directory.path().join(name)).expect("it is new");
        }
        let host = Self { directory };
        host.put("lib/liba.so.1", LIBRARY);
        host.put("opt/libb.so.2", LIBRARY);
        host
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Writes the file that gaoler is to read. Answers where it is.
    fn put(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let file = self.root().join(path);
        fs::write(&file, bytes).expect("there is room for a file");
        file
    }
}

/// A program or library, in every way in which gaoler looks into one. What it takes does not grow
/// with what the file says of itself: the fuzzer's limit of memory, and that of `tests/fuzz`, see
/// to it.
pub fn elf(bytes: &[u8]) {
    HOST.with(|host| {
        let file = host.put("lib/any", bytes);
        let path = Path::new("/lib/any");
        let mut resolver = Resolver::new(host.root()).expect("the root is there");
        told(resolver.inspect(path));
        told(elf::script(host.root(), path));
        if let Ok(imports) = resolver.imports(path) {
            assert!(imports.len() <= bytes.len());
        }
        if let Ok(versions) = resolver.versions(path) {
            assert!(versions.len() <= bytes.len());
        }
        if let Ok(objects) = resolver.closure(path) {
            let known = ["any", "liba.so.1", "libb.so.2"];
            let others = objects
                .iter()
                .filter(|one| !known.iter().any(|name| one.path.ends_with(name)));
            assert_eq!(others.count(), 0, "{objects:?}");
        }
        assert!(resolver.needed(path).len() <= bytes.len());
        told(resolver.locate("any", &[path]));
        let sought = Sought {
            symbol: "a",
            version: None,
        };
        assert!(resolver.definers(sought, &[path.to_owned()], 2).len() <= 2);

        let file = File::open(file).expect("it has just been written");
        let parts = (0..=PLACES).map(|part| bytes.len() as u64 * part / PLACES);
        for offset in parts.chain([u64::MAX]) {
            if let Some(found) = nearest(&file, offset)
                && let Some((name, _)) = found.symbol
            {
                assert!(!name.is_empty() && name.len() <= 3 * bytes.len());
            }
        }
    });
}

/// `/etc/ld.so.cache`: whatever it says, what is found is an object of this host.
pub fn library_cache(bytes: &[u8]) {
    HOST.with(|host| {
        host.put("etc/ld.so.cache", bytes);
        let mut resolver = Resolver::new(host.root()).expect("the root is there");
        for name in NAMES {
            if let Ok(Some(path)) = resolver.locate(name, &[]) {
                assert!(path.is_absolute(), "{}", path.display());
                assert!(path.ends_with("liba.so.1") || path.ends_with("libb.so.2"));
            }
        }
        let sought = Sought {
            symbol: "a",
            version: None,
        };
        assert!(resolver.definers(sought, &[], 4).len() <= 4);
        host.put("etc/ld.so.cache", b"");
    });
}

/// A manifest: what is read is written and read back as the same, sorted, each path once.
pub fn manifest(bytes: &[u8]) {
    let read = |bytes: &[u8]| {
        let mut file = tempfile::tempfile().expect("there is room for a file");
        file.write_all(bytes).expect("there is room");
        file.rewind().expect("it is a file");
        Manifest::read(file, Path::new("any"))
    };
    match read(bytes) {
        Ok(manifest) => {
            let paths = manifest.entries.windows(2);
            assert!(paths.into_iter().all(|pair| pair[0].path < pair[1].path));
            let text = manifest.to_json_lines().expect("its paths were JSON");
            assert_eq!(read(text.as_bytes()).expect("it was read"), manifest);
            for entry in &manifest.entries {
                assert_eq!(manifest.entry(&entry.path), Some(entry));
                assert!(entry.mode_bits().is_some_and(|mode| mode <= 0o7777));
            }
            assert!(manifest.files() <= manifest.entries.len());
            manifest.bytes();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A trace: what is read is written and read back as the same; it can be merged with itself, and a
/// spec comes of it.
pub fn trace(bytes: &[u8]) {
    HOST.with(|host| {
        let file = host.put("trace.json", bytes);
        let Ok(trace) = learn::load(&file) else {
            return;
        };
        let written = host.root().join("written.json");
        learn::save(&trace, &written).expect("there is room");
        assert_eq!(learn::load(&written).expect("it was written"), trace);
        let facts = Facts {
            name: "any".to_owned(),
            ..Facts::default()
        };
        derive(&trace, None, &facts);
        told(learn::merge(trace.clone(), trace));
    });
}

/// An error has words.
fn told<T>(result: gaoler::Result<T>) {
    if let Err(error) = result {
        assert!(!error.to_string().is_empty());
    }
}
