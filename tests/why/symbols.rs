//! Where a live process is: it stops itself at a place that is known.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gaoler::sys::beneath::Beneath;
use gaoler::why::symbols::{Address, Mapping, Memory, Place, beneath, mapped_by, mappings, place};

use super::lab::Lab;

/// Prints the address of an instruction in each function, and waits.
const PROGRAM: &str = "
    #define _GNU_SOURCE
    #include <stdio.h>
    #include <unistd.h>
    #include <dlfcn.h>
    #include <signal.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <sys/auxv.h>
    #include <sys/syscall.h>
    __attribute__((noinline)) void *stop_here(void) { return __builtin_return_address(0); }
    __attribute__((noinline)) static void *in_private(void) { void *a = stop_here(); __asm__(\"\"); return a; }
    int main(void) {
        void *jit = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        printf(\"%p %p %p %p %p %p\\n\", in_private(), (char *)stop_here, dlsym(RTLD_DEFAULT, \"raise\"),
               dlsym(RTLD_DEFAULT, \"syscall\"), (char *)jit + 5, (char *)getauxval(AT_SYSINFO_EHDR) + 9);
        fflush(stdout);
        pause();
        return 0; }";

struct Running {
    child: Child,
    addresses: Vec<u64>,
}

impl Running {
    fn start(program: &Path) -> Self {
        let mut child = Command::new(program)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
        let addresses = line.split_whitespace().map(address).collect();
        Self { child, addresses }
    }

    fn mappings(&self) -> Vec<Mapping> {
        mappings(&std::fs::read(format!("/proc/{}/maps", self.child.id())).unwrap())
    }

    /// By the very files that are mapped.
    fn exactly(&self, address: Address) -> Place {
        place(&self.mappings(), address, &mapped_by(self.child.id()))
    }

    /// By the files' names, from the root of the process.
    fn by_name(&self, address: Address) -> Place {
        let root = format!("/proc/{}/root/.", self.child.id());
        let root = Beneath::open(Path::new(&root)).unwrap();
        place(&self.mappings(), address, &beneath(&root))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn function(place: &Place) -> &str {
    place.symbol.as_ref().map_or("", |(name, _)| name)
}

#[test]
fn functions_of_a_live_process_are_named() {
    let lab = Lab::new();
    lab.gcc(PROGRAM, "program", &[]);
    let running = Running::start(&lab.path("program"));
    let [private, stop, raise, syscall, jit, vdso] = running.addresses[..] else {
        panic!("{:?}", running.addresses);
    };
    for look in [Running::exactly, Running::by_name] {
        let found = look(&running, Address::After(private));
        assert_eq!(function(&found), "in_private", "{found}");
        assert_eq!(found.memory, Memory::File(lab.path("program")));
        let text = look(&running, Address::At(stop)).to_string();
        assert_eq!(
            text,
            format!("stop_here+0x0 in {}", lab.path("program").display())
        );
        // Of a library that was stripped: the names that it exports.
        let found = look(&running, Address::At(raise + 1)).to_string();
        assert!(
            found.starts_with("raise+0x1 in /") && found.ends_with("/libc.so.6"),
            "{found}"
        );
        let found = look(&running, Address::At(syscall + 12)).to_string();
        assert!(found.starts_with("syscall+0xc in /"), "{found}");
        assert_eq!(
            look(&running, Address::At(jit)).to_string(),
            "generated code+0x5"
        );
        assert_eq!(look(&running, Address::At(vdso)).to_string(), "[vdso]+0x9");
        assert_eq!(look(&running, Address::At(8)).memory, Memory::Unmapped);
    }
}

/// Where the C library's `syscall` has made a call that waits, as the kernel says it.
#[test]
fn the_place_of_a_system_call_is_named() {
    let source = "
        #include <stdio.h>
        #include <unistd.h>
        #include <sys/syscall.h>
        __attribute__((noinline)) long waits(void) { return syscall(SYS_pause); }
        int main(void) { puts(\"0x0\"); fflush(stdout); return waits() + 1; }";
    let lab = Lab::new();
    lab.gcc(source, "program", &[]);
    let running = Running::start(&lab.path("program"));
    let path = format!("/proc/{}/syscall", running.child.id());
    let counter = (0..500).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let text = std::fs::read_to_string(&path).unwrap();
        // proc_pid_syscall(5): number, arguments, stack and instruction pointer.
        let is_pause = text.starts_with("34 ");
        let last = text.trim_end().rsplit("0x").next().unwrap().to_owned();
        is_pause.then(|| u64::from_str_radix(&last, 16).unwrap())
    });
    let found = running.exactly(Address::After(counter.unwrap()));
    assert_eq!(function(&found), "syscall", "{found}");
}

#[test]
fn a_stripped_program_has_its_offset() {
    let lab = Lab::new();
    lab.gcc(PROGRAM, "program", &["-s"]);
    let running = Running::start(&lab.path("program"));
    let maps = running.mappings();
    let base = maps
        .iter()
        .find(|m| m.name == lab.path("program"))
        .unwrap()
        .start;
    let private = running.addresses[0];
    let text = running.exactly(Address::After(private)).to_string();
    assert_eq!(
        text,
        format!("{}+0x{:x}", lab.path("program").display(), private - base)
    );
}

#[test]
fn a_file_that_was_removed_or_replaced_is_not_asked() {
    let lab = Lab::new();
    lab.gcc(PROGRAM, "program", &[]);
    let program = lab.path("program");
    let running = Running::start(&program);
    let private = Address::After(running.addresses[0]);
    std::fs::remove_file(&program).unwrap();
    let gone = |found: &Place| {
        assert_eq!(found.symbol, None);
        assert!(matches!(found.memory, Memory::Gone(_)), "{found:?}");
        let text = found.to_string();
        assert!(text.starts_with(program.to_str().unwrap()), "{text}");
        assert!(text.contains(" (removed or replaced since)+0x"), "{text}");
    };
    gone(&running.by_name(private));
    // What is mapped is still there for who may open it.
    assert_eq!(function(&running.exactly(private)), "in_private");
    // Another file under the old name, and under the name that the kernel shows now.
    lab.gcc(PROGRAM, "program", &["-O2"]);
    std::fs::copy(&program, lab.path("program (deleted)")).unwrap();
    gone(&running.by_name(private));
}

/// A library that the process has damaged since it was mapped.
#[test]
fn a_mapped_file_that_is_no_elf_file_any_more_has_its_offset() {
    let lab = Lab::new();
    lab.gcc("int f(void) { return 1; }", "lib.so", &["-shared", "-fPIC"]);
    let source = "
        #include <stdio.h>
        #include <dlfcn.h>
        #include <unistd.h>
        int main(int c, char **v) {
            void *l = dlopen(\"./lib.so\", RTLD_NOW);
            printf(\"%p\\n\", dlsym(l, \"f\")); fflush(stdout); pause(); return 0; }";
    lab.gcc(source, "program", &[]);
    let mut child = Command::new(lab.path("program"))
        .current_dir(lab.path("."))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = u64::from_str_radix(line.trim().trim_start_matches("0x"), 16).unwrap();
    let running = Running {
        child,
        addresses: Vec::new(),
    };
    assert_eq!(function(&running.exactly(Address::At(address))), "f");
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(lab.path("lib.so"))
        .unwrap();
    file.write_all_at(b"garbage", 0).unwrap();
    let found = running.exactly(Address::At(address));
    assert_eq!(found.symbol, None);
    let maps = running.mappings();
    let base = maps
        .iter()
        .find(|m| m.name.ends_with("lib.so"))
        .unwrap()
        .start;
    assert_eq!(found.offset, address - base);
}
