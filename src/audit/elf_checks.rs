//! How the programs and libraries of the tree were hardened when they were compiled, by what
//! their files say ([`crate::build::elf`]).

use std::path::Path;

use super::facts::Binary;
use super::{Check, Finding, Needs, Severity, Subject};

/// A rule that looks at ELF files.
const fn rule(
    id: &'static str,
    worst: Severity,
    about: &'static str,
    from: &'static str,
    look: fn(&Subject<'_>) -> Vec<Finding>,
) -> Check {
    Check {
        id,
        worst,
        about,
        from,
        remedy: "take the distribution's package, or compile it with -fPIE -pie \
                 -Wl,-z,relro,-z,now -fstack-protector-strong -D_FORTIFY_SOURCE=2 \
                 -fcf-protection",
        needs: Needs::Nothing,
        look,
    }
}

/// Debian's page on these options.
const HARDENING: &str = "wiki.debian.org/Hardening";

/// The table.
pub(super) const CHECKS: &[Check] = &[
    rule(
        "elf.pie",
        Severity::Low,
        "a program that is not position-independent is at an address that an attacker knows",
        HARDENING,
        not_position_independent,
    ),
    rule(
        "elf.relro",
        Severity::Low,
        "without RELRO the table of functions stays writable; with partial RELRO (no BIND_NOW) a \
         part of it does",
        HARDENING,
        relocations,
    ),
    rule(
        "elf.stack-protector",
        Severity::Low,
        "without a stack protector an overflow of a buffer reaches the return address unnoticed",
        "",
        stack_protector,
    ),
    rule(
        "elf.fortify",
        Severity::Info,
        "without _FORTIFY_SOURCE functions like memcpy do not check the size of their target",
        HARDENING,
        fortify,
    ),
    rule(
        "elf.cet",
        Severity::Info,
        "without control-flow enforcement (IBT and SHSTK on x86, BTI and PAC on ARM) jumps and \
         returns can be bent; it takes a file that was compiled for it, and every library of it",
        "Intel CET; Documentation/arch/x86/shstk.rst",
        control_flow,
    ),
    rule(
        "elf.stack",
        Severity::Medium,
        "an executable stack runs what is written onto it; one such library makes that of the \
         whole process so",
        "elf(5), PT_GNU_STACK",
        executable_stack,
    ),
    rule(
        "elf.writable-code",
        Severity::Medium,
        "a segment that is writable and executable, or code that is written to when it is loaded \
         (text relocations), runs what was written into it",
        "elf(5), PT_LOAD and DT_TEXTREL",
        writable_code,
    ),
];

/// What all libraries together are called: so many of them that one line says it.
const LIBRARIES: &str = "libraries";
/// As many names as that line has.
const MOST_NAMED: usize = 6;

impl Binary {
    /// A program: it names a dynamic linker, or needs none. Libraries that can be executed too,
    /// such as the C library, name one as well.
    fn is_program(&self) -> bool {
        self.elf.soname.is_none() && (self.elf.interpreter.is_some() || self.elf.statically_linked)
    }

    /// The dynamic linker and the C library come before what they check others with.
    fn is_c_library(&self) -> bool {
        let soname = self.elf.soname.as_deref().unwrap_or_default();
        soname.starts_with("libc.so.") || soname.starts_with("ld-")
    }
}

/// A finding for each program that it is true of, and one for all libraries.
fn of_each(
    subject: &Subject<'_>,
    of_programs: Severity,
    of_libraries: Severity,
    evidence: &str,
    wrong: impl Fn(&Binary) -> bool,
) -> Vec<Finding> {
    let wrong: Vec<&Binary> = subject
        .facts
        .binaries
        .iter()
        .filter(|it| wrong(it))
        .collect();
    let programs = wrong.iter().filter(|binary| binary.is_program());
    let mut findings: Vec<Finding> = programs
        .map(|binary| Finding::plain(of_programs, binary.path.display().to_string(), evidence))
        .collect();
    let libraries: Vec<&Path> = wrong
        .iter()
        .filter(|binary| !binary.is_program())
        .map(|binary| binary.path.as_path())
        .collect();
    if !libraries.is_empty() {
        let evidence = format!("{evidence}: {}", listed(&libraries));
        findings.push(Finding::plain(of_libraries, LIBRARIES, evidence));
    }
    findings
}

fn listed(paths: &[&Path]) -> String {
    let names = paths.iter().take(MOST_NAMED);
    let names: Vec<String> = names
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    match paths.len().saturating_sub(MOST_NAMED) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

fn not_position_independent(subject: &Subject<'_>) -> Vec<Finding> {
    let (low, evidence) = (Severity::Low, "it is no PIE");
    of_each(subject, low, low, evidence, |binary| {
        !binary.elf.position_independent
    })
}

fn relocations(subject: &Subject<'_>) -> Vec<Finding> {
    let (low, info) = (Severity::Low, Severity::Info);
    // A static program that is not position-independent has no such table.
    let has_table =
        |binary: &Binary| !binary.elf.statically_linked || binary.elf.position_independent;
    let mut findings = of_each(subject, low, low, "no RELRO", |binary| {
        has_table(binary) && !binary.elf.relro
    });
    let partial = "partial RELRO: it is not linked with -z now";
    findings.extend(of_each(subject, info, info, partial, |binary| {
        !binary.elf.statically_linked
            && binary.elf.relro
            && !binary.elf.bind_now
            && !binary.is_c_library()
    }));
    findings
}

fn stack_protector(subject: &Subject<'_>) -> Vec<Finding> {
    let (low, info) = (Severity::Low, Severity::Info);
    let command = subject.spec.service.command.first();
    // Of a static program it cannot be told. One that copies nothing may have no use for it.
    let lacks = |binary: &Binary| {
        !binary.elf.stack_protector
            && !binary.elf.statically_linked
            && !binary.elf.fortifiable.is_empty()
            && !binary.is_c_library()
    };
    let is_service = |binary: &Binary| {
        command.is_some_and(|command| binary.path.file_name() == Path::new(command).file_name())
    };
    let evidence = "it imports no stack protector";
    let mut findings = of_each(subject, low, info, evidence, |binary| {
        lacks(binary) && is_service(binary)
    });
    findings.extend(of_each(subject, info, info, evidence, |binary| {
        lacks(binary) && !is_service(binary)
    }));
    findings
}

fn fortify(subject: &Subject<'_>) -> Vec<Finding> {
    let info = Severity::Info;
    of_each(
        subject,
        info,
        info,
        "it imports no checked function",
        |binary| {
            binary.elf.fortified.is_empty()
                && !binary.elf.fortifiable.is_empty()
                && !binary.is_c_library()
        },
    )
}

fn control_flow(subject: &Subject<'_>) -> Vec<Finding> {
    let info = Severity::Info;
    let neither =
        |binary: &Binary| !binary.elf.control_flow.branches && !binary.elf.control_flow.returns;
    let one = |binary: &Binary| binary.elf.control_flow.branches != binary.elf.control_flow.returns;
    let mut findings = of_each(
        subject,
        info,
        info,
        "marked neither for branches nor for returns",
        neither,
    );
    let half = "marked for one of branches and returns only";
    findings.extend(of_each(subject, info, info, half, one));
    findings
}

fn executable_stack(subject: &Subject<'_>) -> Vec<Finding> {
    let medium = Severity::Medium;
    of_each(
        subject,
        medium,
        medium,
        "it wants an executable stack",
        |binary| !binary.elf.stack_not_executable,
    )
}

fn writable_code(subject: &Subject<'_>) -> Vec<Finding> {
    let medium = Severity::Medium;
    let evidence = "it has code that is writable";
    of_each(subject, medium, medium, evidence, |binary| {
        binary.elf.writable_code || binary.elf.text_relocations
    })
}
