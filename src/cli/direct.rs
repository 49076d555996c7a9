//! The verbs that start and watch a jail, read without clap: building the whole command line's
//! definitions costs more than the launch, and the supervisor would carry it in memory for as
//! long as it lives. Anything but the plain form is left to clap.

use std::ffi::OsString;

use crate::verbs::Places;

/// What was asked for, in plain form.
#[derive(Debug, PartialEq)]
pub(super) enum Direct {
    /// `run NAME [--exec]`
    Run {
        places: Places,
        name: String,
        exec: bool,
    },
    /// `supervise NAME [--sockets|--take-over]`
    Supervise {
        places: Places,
        name: String,
        sockets: bool,
        take_over: bool,
    },
    /// `attest NAME`
    Attest { places: Places, name: String },
}

/// Reads `[--etc DIR] [--state DIR] [--run DIR] run NAME [--exec]` and the same with
/// `supervise NAME [--sockets]` or `attest NAME`. `None` for everything else, mistakes included: clap words them.
pub(super) fn direct(arguments: impl Iterator<Item = OsString>) -> Option<Direct> {
    let mut places = Places::default();
    let mut arguments = arguments.skip(1);
    let verb = loop {
        let argument = arguments.next()?;
        let place = match argument.to_str()? {
            "--etc" => &mut places.etc,
            "--state" => &mut places.state,
            "--run" => &mut places.run,
            verb @ ("run" | "supervise" | "attest") => break verb.to_owned(),
            _ => return None,
        };
        *place = arguments.next()?.into();
    };
    let mut name = None;
    let mut exec = false;
    let (mut sockets, mut take_over) = (false, false);
    for argument in arguments {
        match argument.to_str()? {
            "--exec" if verb == "run" => exec = true,
            "--sockets" if verb == "supervise" => sockets = true,
            "--take-over" if verb == "supervise" => take_over = true,
            option if option.starts_with('-') => return None,
            text if name.is_none() => name = Some(text.to_owned()),
            _ => return None,
        }
    }
    let name = name?;
    Some(match verb.as_str() {
        "run" => Direct::Run { places, name, exec },
        "attest" => Direct::Attest { places, name },
        _ => Direct::Supervise {
            places,
            name,
            sockets,
            take_over,
        },
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Arguments, Verb};

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_plain_forms_mean_what_clap_takes_them_for() {
        for text in [
            "gaoler run named",
            "gaoler run --exec named",
            "gaoler --etc /a --state /b --run /c run named --exec",
            "gaoler --run /c supervise named",
            "gaoler --run /c supervise named --sockets",
            "gaoler supervise named --take-over",
            "gaoler --run /c attest named",
        ] {
            let clap = Arguments::try_parse_from(words(text)).expect("clap takes it");
            let wanted = clap.places();
            match (direct(words(text).into_iter()), clap.verb) {
                (Some(Direct::Run { places, name, exec }), Verb::Run(run)) => {
                    assert_eq!((places, name, exec), (wanted, run.name, run.exec));
                }
                (
                    Some(Direct::Supervise {
                        places,
                        name,
                        sockets,
                        take_over,
                    }),
                    Verb::Supervise(named),
                ) => {
                    let clap = (wanted, named.name, named.sockets, named.take_over);
                    assert_eq!((places, name, sockets, take_over), clap);
                }
                (Some(Direct::Attest { places, name }), Verb::Attest { name: named }) => {
                    assert_eq!((places, name), (wanted, named));
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn everything_else_is_left_to_clap() {
        for text in [
            "gaoler",
            "gaoler run",
            "gaoler run --help",
            "gaoler run a b",
            "gaoler supervise --exec a",
            "gaoler run --sockets a",
            "gaoler --etc",
            "gaoler status named",
            "gaoler --etc=/a run named",
        ] {
            assert_eq!(direct(words(text).into_iter()), None, "{text}");
        }
    }
}
