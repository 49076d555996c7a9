use super::*;

/// A system with some packages, whose `/lib` leads into `/usr`.
fn system() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for file in [
        "usr/lib/libx.so.1.2",
        "usr/sbin/web",
        "usr/bin/tool",
        "usr/bin/tool.distrib",
        "opt/own",
    ] {
        write(file, "");
    }
    std::os::unix::fs::symlink("usr/lib", root.join("lib")).unwrap();
    std::os::unix::fs::symlink("libx.so.1.2", root.join("usr/lib/libx.so.1")).unwrap();
    write(
        "etc/os-release",
        "PRETTY_NAME=\"Debian\"\nVERSION_ID=\"13\"\nID=debian\n",
    );
    write(
        "var/lib/dpkg/status",
        "Package: libx1\nStatus: install ok installed\nMulti-Arch: same\nArchitecture: amd64\n\
         Source: x (1.2-1)\nVersion: 1:1.2-1+b2\nDescription: the\n library\n\n\
         Package: libx1\nStatus: install ok installed\nArchitecture: i386\nVersion: 9\n\n\
         Package: web\nStatus: install ok installed\nArchitecture: all\nVersion: 2.0~rc1\n\n\
         Package: tools\nArchitecture: amd64\nVersion: 3\n\n\
         Package: better\nArchitecture: amd64\nVersion: 4\n",
    );
    let list =
        |package: &str, lines: &str| write(&format!("var/lib/dpkg/info/{package}.list"), lines);
    list(
        "libx1:amd64",
        "/.\n/lib\n/lib/libx.so.1.2\n/lib/libx.so.1\n",
    );
    list("libx1:i386", "/.\n/usr/lib32/libx.so.1.2\n");
    list("web", "/.\n/usr\n/usr/sbin/web\n");
    list("tools", "/usr/bin/tool\n");
    list("better", "/usr/bin/tool\n");
    write(
        "var/lib/dpkg/diversions",
        "/usr/bin/tool\n/usr/bin/tool.distrib\nbetter\n",
    );
    write(
        "usr/share/doc/web/copyright",
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
         Files: debian/*\nLicense: GPL-3\n\nFiles: *\nCopyright: somebody\nLicense: Expat\n the text\n",
    );
    write(
        "usr/share/doc/tools/copyright",
        "It is free.\nLicense: none\n",
    );
    directory
}

#[test]
fn files_have_their_packages() {
    let system = system();
    let files = [
        "/lib/libx.so.1",
        "/usr/sbin/web",
        "/usr/bin/tool",
        "/usr/bin/tool.distrib",
        "/opt/own",
        "/opt/gone",
    ];
    let found = Packages::of(system.path(), files.map(Path::new)).unwrap();
    assert_eq!((&*found.distribution, &*found.release), ("debian", "13"));
    let of = |path: &str| found.owner(Path::new(path));
    let library = of("/lib/libx.so.1").unwrap();
    assert_eq!((&*library.name, &*library.version), ("libx1", "1:1.2-1+b2"));
    assert_eq!(library.architecture, "amd64");
    assert_eq!(library.source.as_deref(), Some("x"));
    let web = of("/usr/sbin/web").unwrap();
    assert_eq!(
        (web.source.as_deref(), web.licence.as_deref()),
        (None, Some("Expat"))
    );
    // Two packages list it, and one of them has moved the other's out of the way.
    assert_eq!(of("/usr/bin/tool").unwrap().name, "better");
    assert_eq!(of("/usr/bin/tool.distrib").unwrap().name, "tools");
    assert_eq!(of("/usr/bin/tool").unwrap().licence, None);
    assert_eq!((of("/opt/own"), of("/opt/gone")), (None, None));
    let names: Vec<&str> = found.packages.iter().map(|it| &*it.name).collect();
    assert_eq!(names, ["better", "libx1", "tools", "web"]);
}

#[test]
fn a_system_without_packages_has_none() {
    let empty = tempfile::tempdir().unwrap();
    let found = Packages::of(empty.path(), [Path::new("/usr/sbin/web")]).unwrap();
    assert_eq!(found, Packages::default());
}

#[test]
fn what_rpm_answers_is_read() {
    let answer = "bind\n32:9.18.1-1.fc40\nx86_64\nbind-9.18.1-1.fc40.src.rpm\nMPL-2.0\nmore\n";
    let package = rpm::parse(answer).unwrap();
    assert_eq!(
        (&*package.name, &*package.version),
        ("bind", "32:9.18.1-1.fc40")
    );
    assert_eq!(
        (package.source, package.licence),
        (None, Some("MPL-2.0".to_owned()))
    );
    let answer = "bind-libs\n1-2\nx86_64\nbind-9.18.1-1.fc40.src.rpm\n(none)\n";
    let package = rpm::parse(answer).unwrap();
    assert_eq!(
        (package.source.as_deref(), package.licence),
        (Some("bind"), None)
    );
    assert_eq!(rpm::parse("file /x is not owned by any package\n"), None);
}

proptest::proptest! {
    #[test]
    fn any_database_is_survived(status in "(Package: a\n|Version: 1\n|\n|[ -~]{0,9}\n){0,20}", lines in "(/a|/usr/a|\n|[ -~]){0,20}") {
        let root = tempfile::tempdir().unwrap();
        let database = root.path().join("var/lib/dpkg");
        fs::create_dir_all(database.join("info")).unwrap();
        fs::write(database.join("status"), status).unwrap();
        fs::write(database.join("diversions"), &lines).unwrap();
        fs::write(database.join("info/a.list"), lines).unwrap();
        Packages::of(root.path(), [Path::new("/a"), Path::new("/usr/a")]).unwrap();
    }
}

#[test]
fn what_is_there_and_cannot_be_read_is_not_passed_over() {
    let system = tempfile::tempdir().unwrap();
    let info = system.path().join("var/lib/dpkg/info");
    fs::create_dir_all(info.join("web.list")).unwrap();
    let error = Packages::of(system.path(), [Path::new("/a")]).unwrap_err();
    assert!(error.to_string().contains("web.list"), "{error}");
}
