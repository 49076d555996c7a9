//! One service for each thing that can refuse, and what `why` says decided.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use super::jail::{Found, GID, Jail, UID, USER};

/// What a service does with the path that it is told, before it waits.
fn jail(deed: &str) -> Jail {
    Jail::new(&service(deed), &[])
}

fn service(deed: &str) -> String {
    format!(
        "#include <signal.h>\n#include <sys/stat.h>\n#include <sys/mman.h>\n#include <sys/socket.h>\n\
         #include <sys/wait.h>\n#include <netinet/in.h>\n#include <arpa/inet.h>\n\
         __attribute__((noinline)) static void deed(const char *path) {{ {deed} }}\n\
         int main(int c, char **v) {{ deed(v[1]); for (;;) pause(); }}"
    )
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What `why` says of a service that does it with a file in its bind.
fn with_file(deed: &str, writable: bool, make: impl FnOnce(&Path)) -> (Jail, String, Found) {
    let mut jail = jail(deed);
    let file = jail.data(writable).join("file");
    make(&file);
    jail.words.push(text(&file).to_owned());
    jail.write();
    let found = jail.why(&[]);
    (jail, text(&file).to_owned(), found)
}

fn of_service(file: &Path) {
    fs::write(file, "").unwrap();
    chown(file, Some(UID), Some(GID)).unwrap();
}

#[test]
fn mode_bits() {
    let (_jail, file, found) = with_file("open(path, O_RDWR);", true, |file| {
        fs::write(file, "").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o640)).unwrap();
    });
    let denial = found.says(
        &file,
        &[
            "EACCES",
            "not the jail but the mode bits",
            "mode 0640, owner 0 and group 0",
            "uid 5, gid 60",
            "chgrp games",
        ],
    );
    assert_eq!(denial["remedy"], "none");
}

#[test]
fn the_mode_of_a_directory_above() {
    let mut jail = jail("open(path, O_RDONLY);");
    let above = jail.data(true).join("above");
    fs::create_dir(&above).unwrap();
    fs::write(above.join("file"), "").unwrap();
    fs::set_permissions(&above, fs::Permissions::from_mode(0o700)).unwrap();
    jail.words.push(text(&above.join("file")).to_owned());
    jail.write();
    let lacks = format!("{} has mode 0700", above.display());
    jail.why(&[])
        .says(text(&above.join("file")), &["mode bits", &lacks, "lacks x"]);
}

#[test]
fn a_read_only_bind() {
    let (jail, _, found) = with_file("open(path, O_RDWR);", false, of_service);
    let data = jail.text("data");
    let denial = found.says(&format!("bind {data}"), &["EROFS", "mounted read-only"]);
    assert_eq!(denial["safe"], false, "a place to write is for a person");
    let allowed = jail.why(&["--allow", &format!("bind {data}")]);
    assert_eq!(allowed.0["works"], true);
    assert_eq!(
        jail.why(&[])
            .denials()
            .iter()
            .filter(|one| one["remedy"] != "none")
            .count(),
        0
    );
}

#[test]
fn the_read_only_root() {
    let name = format!("/gaoler-why-{}", std::process::id());
    let mut jail = jail("mkdir(path, 0700);");
    jail.words.push(name.clone());
    jail.write();
    let found = jail.why(&[]);
    let denials = found.denials().iter();
    let causes: Vec<&str> = denials.filter_map(|one| one["cause"].as_str()).collect();
    let wanted = |cause: &&&str| {
        cause.contains(&name) && cause.contains("the jail's root is mounted read-only")
    };
    assert!(causes.iter().any(|cause| wanted(&cause)), "{found:#?}");
}

#[test]
fn a_mount_without_execution() {
    let deed = "char *v[] = { (char *)path, 0 }; execv(path, v);";
    let (jail, file, found) = with_file(deed, true, |file| {
        fs::copy("/bin/true", file).unwrap();
        chown(file, Some(UID), Some(GID)).unwrap();
    });
    let noexec = format!("{} is mounted noexec", jail.text("data"));
    found.says(
        &file,
        &["executing", "EACCES", &noexec, "belongs into the tree"],
    );
}

#[test]
fn a_mount_without_devices() {
    let (jail, file, found) = with_file("open(path, O_RDONLY);", true, |file| {
        let made = Command::new("mknod")
            .arg(file)
            .args(["c", "1", "3", "-m", "666"])
            .status();
        assert!(made.unwrap().success());
    });
    let nodev = format!("{} is mounted nodev", jail.text("data"));
    let denial = found.says(
        &format!("device {file}"),
        &["EACCES", &nodev, "tree.devices"],
    );
    assert_eq!(
        denial["remedy"], "none",
        "a device there would be of no use, too"
    );
}

#[test]
fn the_owner() {
    let (_jail, file, found) = with_file("chmod(path, 0600);", true, |file| {
        fs::write(file, "").unwrap()
    });
    found.says(
        &file,
        &[
            "EPERM",
            "the owner decided",
            "belongs to uid 0",
            &format!("chown {USER}"),
        ],
    );
}

#[test]
fn a_landlock_rule() {
    let mut jail = jail(
        "struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(path)) };
         a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
         bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof a);",
    );
    jail.words.push("28461".to_owned());
    jail.calls.push("bind");
    jail.table("allow.families", "family = \"AF_INET\"");
    jail.write();
    let subject = "port tcp bind 28461";
    let denial = jail.why(&[]);
    denial.says(subject, &["EACCES", "Landlock"]);
    jail.why(&["--allow", subject]);
    assert_eq!(jail.why(&[]).0["works"], true);
}

#[test]
fn a_capability() {
    let mut jail = jail("if (chown(path, 0, 0)) perror(\"chown\");");
    let file = jail.data(true).join("file");
    of_service(&file);
    jail.words.push(text(&file).to_owned());
    jail.calls.push("chown");
    jail.write();
    let found = jail.why(&[]);
    let denial = found.says("CAP_CHOWN", &["chown"]);
    assert_eq!(denial["safe"], false);
}

#[test]
fn the_filter_names_the_function() {
    // Not through the C library, whose functions are known by their own names.
    let deed = "long result; __asm__ volatile (\"syscall\" : \"=a\"(result) : \"a\"(140), \"D\"(0), \"S\"(0) : \"rcx\", \"r11\", \"memory\");";
    let jail = jail(deed);
    jail.write();
    let at = format!("in {}", jail.program());
    let found = jail.why(&[]);
    let denial = found.says(
        "call getpriority",
        &["EPERM", "(thread service)", "at deed+0x", &at],
    );
    assert_eq!(denial["patch"][0]["item"], "call getpriority");
    assert_eq!(denial["safe"], true);
    assert_eq!(jail.why(&["--apply"]).0["works"], true);
    assert_eq!(
        jail.why(&[])
            .denials()
            .iter()
            .filter(|one| one["remedy"] != "none")
            .count(),
        0
    );
}

#[test]
fn complaints_of_a_jail_that_runs() {
    let deed = "long result; __asm__ volatile (\"syscall\" : \"=a\"(result) : \"a\"(140), \"D\"(0), \"S\"(0) : \"rcx\", \"r11\", \"memory\");";
    let jail = jail(deed);
    jail.write();
    let started = jail.gaoler(&["start", &jail.name, "--complain"]);
    assert!(started.status.success(), "{started:?}");
    let found = jail.why(&[]);
    let denial = found.says(
        "call getpriority",
        &["would be refused", "(service) at deed+0x"],
    );
    assert_eq!(denial["source"], "complaint");
    assert_eq!(found.0["ran"], false);
    assert!(
        jail.gaoler(&["status", &jail.name]).status.success(),
        "it was left alone"
    );
    // One that is enforced has to be run anew.
    assert!(jail.gaoler(&["restart", &jail.name]).status.success());
    let output = jail.gaoler(&["why", &jail.name]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("it runs, as process") && error.contains("gaoler stop"),
        "{error}"
    );
}

#[test]
fn a_call_of_another_architecture_kills() {
    let deed = "long result; __asm__ volatile (\"int $0x80\" : \"=a\"(result) : \"a\"(20), \"b\"(7) : \"memory\");";
    let jail = jail(deed);
    jail.write();
    let found = jail.why(&[]);
    let at = "at deed+0x";
    let denial = found.says(
        "call 20 of i386",
        &[
            "SIGSYS",
            "0x7",
            "by service (thread service)",
            at,
            &jail.program(),
            "built for this architecture",
        ],
    );
    assert_eq!(
        (&denial["remedy"], &denial["source"]),
        (&"none".into(), &"run".into())
    );
}

fn limited(deed: &str, limits: &str) -> (Jail, Found) {
    let mut jail = jail(deed);
    jail.tables += &format!("[limits]\n{limits}\n");
    jail.write();
    let found = jail.why(&[]);
    (jail, found)
}

#[track_caller]
fn raises(found: &Found, subject: &str, words: &[&str], from: &str, to: &str) {
    let denial = found.says(subject, words);
    let field = &denial["patch"][0]["fields"][0];
    assert_eq!(
        (&field["from"], &field["to"]),
        (&from.into(), &to.into()),
        "{denial:#?}"
    );
    assert_eq!(denial["safe"], false);
}

#[test]
fn descriptors() {
    let (_jail, found) = limited("while (open(\"/\", O_RDONLY) >= 0);", "descriptors = 24");
    raises(
        &found,
        "limits.descriptors",
        &["EMFILE", "limit of 24", "the host would give"],
        "24",
        "48",
    );
}

#[test]
fn descriptors_of_the_host() {
    let jail = jail("while (open(\"/\", O_RDONLY) >= 0);");
    jail.write();
    let output = Command::new("prlimit")
        .args(["--nofile=300:300", super::jail::GAOLER])
        .args(jail.command(&["why", &jail.name, "--json"]).get_args())
        .output()
        .unwrap();
    let found = Found(serde_json::from_slice(&output.stdout).unwrap());
    let denial = found.says(
        "RLIMIT_NOFILE",
        &["the spec sets no such limit", "300 (hard 300)"],
    );
    assert_eq!(denial["remedy"], "none");
}

#[test]
fn the_size_of_files() {
    let deed = "signal(SIGXFSZ, SIG_IGN); char block[65536]; memset(block, 1, sizeof block);
                int file = open(path, O_WRONLY | O_CREAT, 0600);
                while (write(file, block, sizeof block) > 0);";
    let mut jail = jail(deed);
    let file = jail.data(true).join("file");
    jail.words.push(text(&file).to_owned());
    jail.tables += "[limits]\nfile_size_bytes = 100000\n";
    jail.write();
    raises(
        &jail.why(&[]),
        "limits.file_size_bytes",
        &["EFBIG", "100000"],
        "100000",
        "200000",
    );
}

#[test]
fn processes() {
    let deed = "for (int i = 0; i < 40; i++) { int pid = fork(); if (pid < 0) break; if (!pid) { pause(); _exit(0); } }";
    let (_jail, found) = limited(deed, "processes = 6");
    raises(
        &found,
        "limits.processes",
        &["EAGAIN", "limit of 6", "pids.max"],
        "6",
        "12",
    );
}

#[test]
fn memory() {
    let deed = "volatile char *all = malloc(100 << 20); for (int i = 0; i < 100 << 20; i += 4096) all[i] = 1;";
    let (_jail, found) = limited(deed, "memory_bytes = 16777216");
    let words = ["SIGKILL", "oom_kill", "16777216"];
    raises(
        &found,
        "limits.memory_bytes",
        &words,
        "16777216",
        "33554432",
    );
}

#[test]
fn a_full_scratch_place() {
    let deed = "char block[4096]; memset(block, 1, sizeof block); int file = open(path, O_WRONLY | O_CREAT, 0600);
                for (int i = 0; i < 100; i++) if (write(file, block, sizeof block) < 0) break;";
    let mut jail = jail(deed);
    jail.words.push("/scratch/file".to_owned());
    jail.table("tree.scratch", "path = \"/scratch\"\nsize_kib = 64");
    jail.write();
    let found = jail.why(&[]);
    let denial = found.says("scratch /scratch", &["ENOSPC", "/scratch/file", "64 KiB"]);
    let field = &denial["patch"][0]["fields"][0];
    assert_eq!(
        (&field["from"], &field["to"]),
        (&"64".into(), &"128".into()),
        "{denial:#?}"
    );
}

#[test]
fn a_full_disk() {
    // /dev/full answers as a full disk does (full(4)).
    let mut jail = jail("if (write(open(path, O_WRONLY), \"x\", 1) < 0) perror(path);");
    jail.words.push("/dev/full".to_owned());
    jail.table("tree.devices", "path = \"/dev/full\"\ndevice = \"full\"");
    jail.write();
    jail.why(&[]).says(
        "disk of /dev/full",
        &["ENOSPC", "the disk of the host is full", "df -h"],
    );
}

#[test]
fn what_does_not_start_has_its_last_words_shown() {
    let jail = jail("fputs(\"no room \\x1b[2J for me\\n\", stderr); exit(7);");
    jail.write();
    let found = jail.why(&[]);
    let failures = found.0["failures"].as_array().unwrap();
    let [failure] = &failures[..] else {
        panic!("{found:#?}");
    };
    let failure = failure.as_str().unwrap();
    assert!(
        failure.contains("start the service: it exited with status 7"),
        "{failure}"
    );
    assert_eq!(
        found.0["last_words"],
        serde_json::json!(["no room #033[2J for me"])
    );
    let text = jail.gaoler(&["why", &jail.name]);
    let text = String::from_utf8_lossy(&text.stdout);
    assert!(
        text.contains("\nsaid     no room #033[2J for me\n"),
        "{text}"
    );
}

#[test]
fn a_command_that_was_changed_since_it_was_learned() {
    let jail = jail("");
    jail.write();
    jail.gaoler(&["build", &jail.name]);
    let trace = gaoler::learn::Trace {
        command: vec!["/usr/bin/another".to_owned()],
        ..Default::default()
    };
    let path = jail.path("state").join(&jail.name).join("trace.json");
    gaoler::learn::save(&trace, &path).unwrap();
    let found = jail.why(&[]);
    assert_eq!(found.0["works"], true, "{found:#?}");
}
