//! Runs a command of the host: a configuration test, an exercise, a reload. No shell, a clean
//! environment, a time limit. Never used between fork and execve of a jail.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Doing, Error, Result};

/// Where programs are looked for.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How much of a command's output is kept: a printed configuration of a name server with a
/// hundred thousand zones fits.
const OUTPUT_LIMIT: u64 = 64 << 20;

/// How much of one line is shown, in bytes.
const LONGEST_LINE: usize = 1024;

/// How often a running command is looked at.
const POLL: Duration = Duration::from_millis(5);

/// How a command ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit code; `None` if a signal or the time limit ended it.
    pub exit: Option<i32>,
    /// What it printed on both outputs, the first 64 MiB.
    pub output: String,
}

impl Outcome {
    /// It exited with 0.
    pub fn succeeded(&self) -> bool {
        self.exit == Some(0)
    }

    /// The last `count` lines of its output.
    pub fn last_lines(&self, count: usize) -> String {
        last_lines(&self.output, count)
    }
}

/// The last `count` lines of a text, each up to 1 KiB, for a terminal: control characters, which
/// could make it show something else, become `#` and three octal digits per byte.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let last = lines
        .get(lines.len().saturating_sub(count)..)
        .unwrap_or_default();
    let lines: Vec<String> = last.iter().map(|line| plain(line)).collect();
    lines.join("\n")
}

fn plain(line: &str) -> String {
    let mut plain = String::new();
    for character in line.chars() {
        if plain.len() >= LONGEST_LINE {
            plain += " [...]";
            break;
        }
        match character {
            '\t' => plain.push(' '),
            control if control.is_control() => {
                let mut bytes = [0; 4];
                for byte in control.encode_utf8(&mut bytes).bytes() {
                    plain += &format!("#{byte:03o}");
                }
            }
            other => plain.push(other),
        }
    }
    plain
}

/// Whether a program can be found, as [`run`] would.
pub fn exists(program: &str) -> bool {
    if program.contains('/') {
        return std::path::Path::new(program).exists();
    }
    PATH.split(':')
        .any(|directory| std::path::Path::new(directory).join(program).exists())
}

/// Runs `command` to its end, or kills it after `limit`.
///
/// # Errors
/// The command is empty or its program cannot be started.
pub fn run(command: &[String], limit: Duration) -> Result<Outcome> {
    let doing = || format!("run {}", command.join(" "));
    let Some((program, arguments)) = command.split_first() else {
        return Err(Error::new("run a command", "it is empty"));
    };
    let (mut reader, writer) = std::io::pipe().doing(doing)?;
    let output = thread::Builder::new().spawn(move || {
        let mut bytes = Vec::new();
        let read = reader.by_ref().take(OUTPUT_LIMIT).read_to_end(&mut bytes);
        // The rest is read too, or the command would be killed by a closed pipe.
        read.and_then(|_| std::io::copy(&mut reader, &mut std::io::sink()))
            .map(|_| String::from_utf8_lossy(&bytes).into_owned())
    });
    // Before the command: where no thread can be had, nothing is run.
    let output = output.doing(doing)?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(writer.try_clone().doing(doing)?)
        .stderr(writer)
        .spawn()
        .doing(doing)?;
    let exit = wait(&mut child, limit).doing(doing)?;
    // A child of its own may hold the pipe open for ever, so only what is there is taken.
    let patience = Instant::now() + Duration::from_millis(200);
    while !output.is_finished() && Instant::now() < patience {
        thread::sleep(POLL);
    }
    let output = match output.is_finished().then(|| output.join()) {
        Some(Ok(text)) => text.unwrap_or_default(),
        _ => String::new(),
    };
    Ok(Outcome { exit, output })
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<i32>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn output_and_exit_code_come_back() {
        let outcome = run(&words("ls /nonexistent"), Duration::from_secs(5)).expect("ls is there");
        assert_eq!(outcome.exit, Some(2));
        assert!(
            outcome.output.contains("/nonexistent"),
            "{}",
            outcome.output
        );
    }

    #[test]
    fn last_lines_are_few_short_and_plain() {
        let text = "first\nsecond\n\u{1b}[31mred\u{9b}\tx\r\n";
        assert_eq!(last_lines(text, 2), "second\n#033[31mred#302#233 x");
        assert_eq!(last_lines("", 3), "");
        let long = "é".repeat(5000);
        let shown = last_lines(&long, 1);
        assert!(shown.len() < 1040 && shown.ends_with("é [...]"), "{shown}");
    }

    #[test]
    fn a_command_that_hangs_is_killed() {
        let before = Instant::now();
        let outcome = run(&words("sleep 60"), Duration::from_millis(50)).expect("sleep is there");
        assert_eq!(outcome.exit, None);
        assert!(before.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&words("no-such-program"), Duration::from_secs(1)).expect_err("missing");
        assert!(error.to_string().contains("no-such-program"), "{error}");
    }
}
