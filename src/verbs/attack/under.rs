//! `attack --under`: the prober under another launcher. What that is told to confine is not known, so
//! nothing is allowed, and no layer is named but what says itself what it is.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::super::{Places, Report, must_be_root};
use super::prober::{Arguments, Prober};
use super::scene::Scene;
use super::setting::Setting;
use super::worker::{Attempter, Launcher, Where};
use super::{Attack, AttackOptions, Attacked, Phase, Target, chosen};
use crate::attack::Answer;
use crate::host::command::PATH;
use crate::host::users;
use crate::{Doing, Error, Result, spec};

/// What stands for the prober's path in a command.
const PLACE: &str = "{}";

/// Who is attacked if nobody is named.
const NOBODY: &str = "nobody";

/// Attacks what a launcher makes.
///
/// # Errors
/// The command is none; there is no such user or probe; the prober does not run under it; another
/// command does this now.
pub(super) fn attack(
    places: &Places,
    command: &str,
    options: &AttackOptions,
    report: &Report<'_>,
) -> Result<Attacked> {
    must_be_root(&format!("attack what {command:?} makes"))?;
    let probes = chosen(&options.probes)?;
    let begun = Instant::now();
    let user = options.user.as_deref().unwrap_or(NOBODY);
    let setting = Setting::of_launcher(places, command, owner(user)?);
    let launcher = launcher(command, &Prober::path_in(&setting.directory()))?;
    let scene = Scene::put_up(&setting)?;
    let plan = launcher.plan(command, &[]);
    let mut attack = Attack {
        attempter: Attempter::start(&plan, &scene, setting.owner, Some(launcher))?,
        target: Target::Launched { own_root: false },
        name: command,
        // A launcher knows no other.
        phases: &[Phase::Serve],
        without: &[],
        scene: &scene,
    };
    let tried = attack.look().and_then(|own_root| {
        attack.target = Target::Launched { own_root };
        attack.all(&probes, report)
    });
    let finished = attack.attempter.finish();
    let probes = tried?;
    finished?;
    scene.take_down()?;
    Ok(Attacked::of(command, probes, begun))
}

impl Attack<'_> {
    /// Whether the prober has a root directory of its own, which it says if it runs at all.
    fn look(&mut self) -> Result<bool> {
        let arguments = Arguments {
            probe: "look",
            tells: true,
            serving: false,
            scene: self.scene.outside(),
        };
        let attempt = self.attempter.attempt(Where::Serve, arguments.list())?;
        let answer = Answer::under(&attempt);
        match answer {
            Answer::Through(_) => Ok(false),
            Answer::Nothing(_) => Ok(true),
            _ => {
                let doing = format!("run the prober under {:?}", self.name);
                let why = match attempt.words.trim() {
                    "" => answer.evidence(),
                    words => format!("{}: {words}", answer.evidence()),
                };
                Err(Error::setup(doing, why).hint(format!(
                    "the prober's path follows the command's words; {PLACE} in them stands for it \
                     too, to have it put into a root directory"
                )))
            }
        }
    }
}

fn owner(user: &str) -> Result<(u32, u32)> {
    match users::user(user)? {
        Some(user) => Ok((user.uid, user.gid)),
        None => Err(
            Error::usage(format!("attack as {user}"), "there is no such user")
                .hint("name one that is nobody's: --user NAME"),
        ),
    }
}

/// The words of a command, with the prober's path.
fn launcher(command: &str, prober: &Path) -> Result<Launcher> {
    let prober = prober.display().to_string();
    let mut words: Vec<String> = spec::words(command)?
        .iter()
        .map(|word| word.replace(PLACE, &prober))
        .collect();
    let program = match words.first() {
        Some(first) if !first.is_empty() => find(first)?,
        _ => {
            let doing = format!("use {command:?} as a launcher");
            return Err(Error::usage(doing, "it is no command"));
        }
    };
    words.push(prober);
    Ok(Launcher {
        program,
        words,
        environment: vec![
            format!("PATH={PATH}"),
            "HOME=/root".to_owned(),
            "LC_ALL=C.UTF-8".to_owned(),
        ],
    })
}

/// Its file, as `execvp(3)` finds it; no script, which the launch does not execute.
fn find(name: &str) -> Result<PathBuf> {
    let doing = || format!("start the launcher {name}");
    let path = match name.contains('/') {
        true => PathBuf::from(name),
        false => {
            let mut all = PATH.split(':').map(|place| Path::new(place).join(name));
            let found = all.find(|file| {
                file.metadata()
                    .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
            });
            found.ok_or_else(|| Error::usage(doing(), format!("it is not in {PATH}")))?
        }
    };
    let path = path.canonicalize().doing(doing)?;
    let mut begins = Vec::new();
    let file = File::open(&path).doing(doing)?;
    file.take(2).read_to_end(&mut begins).doing(doing)?;
    match begins.as_slice() {
        b"#!" => Err(Error::usage(doing(), "it is a script").hint(format!(
            "name its interpreter too, as in: sh {}",
            path.display()
        ))),
        _ => Ok(path),
    }
}
