//! The `gaoler` command.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    gaoler::cli::main()
}
