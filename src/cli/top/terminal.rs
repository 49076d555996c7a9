//! The page on a terminal, which is given back as it was, however this ends.

use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::page::{Page, Wish};
use crate::verbs::Top;
use crate::{Doing, Result, sys};

/// What would end this without a word: HUP, INT, QUIT, TERM.
const SIGNALS: [i32; 4] = [1, 2, 3, 15];

/// Shows the page until the user or a signal ends it; answers with the signal.
///
/// # Errors
/// The terminal cannot be used; a sample cannot be taken.
pub(crate) fn show(top: &mut Top, every: Duration) -> Result<Option<i32>> {
    let signals = sys::signals::descriptor(&SIGNALS).doing(|| "block the signals")?;
    let mut screen = Screen::take()?;
    let mut page = Page::new(every);
    let mut jails = top.sample()?;
    let mut sampled = Instant::now();
    loop {
        screen.draw(|frame| page.draw(frame, &jails))?;
        let due = page.every.saturating_sub(sampled.elapsed());
        wait(&signals, due)?;
        if let Some(signal) = sys::signals::next(&signals).doing(|| "read a signal")? {
            return Ok(Some(signal));
        }
        while event::poll(Duration::ZERO).doing(|| "read the keys")? {
            match event::read().doing(|| "read the keys")? {
                Event::Key(key) if page.press(key) == Wish::Quit => return Ok(None),
                _ => {}
            }
        }
        if sampled.elapsed() >= page.every {
            if !page.paused {
                jails = top.sample()?;
            }
            sampled = Instant::now();
        }
    }
}

/// Until a key, a signal, a change of the window's size or the next sample.
fn wait(signals: &impl std::os::fd::AsFd, due: Duration) -> Result<()> {
    let keys = rustix::stdio::stdin();
    let mut ready = [
        PollFd::new(signals, PollFlags::IN),
        PollFd::new(&keys, PollFlags::IN),
    ];
    let due = Timespec {
        tv_sec: i64::try_from(due.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: due.subsec_nanos().into(),
    };
    match poll(&mut ready, Some(&due)) {
        // SIGWINCH: it is drawn anew in the new size.
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno).doing(|| "wait for a key"),
    }
}

/// The terminal, while the page is on it. A panic gives it back, too: that is [`ratatui`]'s own
/// hook.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                give_back();
                Err(error).doing(|| "show a page on the terminal")
            }
        }
    }

    fn draw(&mut self, page: impl FnOnce(&mut ratatui::Frame<'_>)) -> Result<()> {
        let drawn = self.0.draw(page).map(|_| ());
        drawn.doing(|| "draw on the terminal")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        match self.0.show_cursor() {
            Ok(()) | Err(_) => give_back(),
        }
    }
}

/// One that is gone needs nothing.
fn give_back() {
    match ratatui::try_restore() {
        Ok(()) | Err(_) => {}
    }
}
