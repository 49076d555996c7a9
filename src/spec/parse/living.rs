//! Checks of `[restart]` and `[liveness]`.
use toml::Spanned;

use super::document::{LivenessTable, RestartTable, Text};
use super::problem::Problems;
use crate::spec::living::duration;
use crate::spec::{Liveness, MOST_RESTARTS, Ready, Restart};

impl Problems<'_> {
    /// When it is started again.
    pub(super) fn restart(&mut self, table: &RestartTable) -> Restart {
        let usual = Restart::default();
        let delay_ms = self.duration(table.delay.as_ref(), usual.delay_ms);
        let longest = usual.longest_delay_ms.max(delay_ms);
        let restart = Restart {
            when: table.when,
            delay_ms,
            longest_delay_ms: self.duration(table.longest_delay.as_ref(), longest),
            limit: self.restarts(table.limit.as_ref(), usual.limit),
            period_ms: self.duration(table.period.as_ref(), usual.period_ms),
        };
        if let Some(text) = &table.longest_delay
            && restart.longest_delay_ms < delay_ms
        {
            self.add(text.span(), "the longest delay is shorter than the first");
        }
        restart
    }

    /// How it is known that it lives.
    pub(super) fn liveness(&mut self, table: &Spanned<LivenessTable>) -> Liveness {
        let (span, table) = (table.span(), table.get_ref());
        let usual = Liveness::default();
        let liveness = Liveness {
            every_ms: self.duration(table.every.as_ref(), usual.every_ms),
            timeout_ms: self.duration(table.timeout.as_ref(), usual.timeout_ms),
            failures: self.at_least_one(table.failures.as_ref(), usual.failures),
            command: self.optional_command(table.command.as_ref()),
            port: table.port.as_ref().map(|text| self.listening(text)),
            watchdog_ms: table
                .watchdog
                .as_ref()
                .map(|text| self.duration(Some(text), usual.every_ms)),
        };
        let nothing = liveness.command.is_empty() && liveness.port.is_none();
        if nothing && liveness.watchdog_ms.is_none() {
            let hint = "give it a command, a port such as \"tcp:80\", or a watchdog";
            self.add_with_hint(span, "nothing says whether it lives", hint);
        }
        liveness
    }

    fn listening(&mut self, text: &Text) -> Ready {
        let sign = self.ready(text);
        if sign.port().is_none() {
            self.add_with_hint(
                text.span(),
                "this is no port",
                "such as \"tcp:80\" or \"udp:53\"",
            );
        }
        sign
    }

    fn duration(&mut self, text: Option<&Text>, usual: u32) -> u32 {
        let Some(text) = text else {
            return usual;
        };
        duration(text.get_ref()).unwrap_or_else(|| {
            let hint = "as in \"500ms\", \"90s\", \"5m\" or \"1h\", up to a day";
            self.add_with_hint(text.span(), "this is no time", hint);
            usual
        })
    }

    fn restarts(&mut self, number: Option<&Spanned<u32>>, usual: u32) -> u32 {
        if let Some(number) = number
            && *number.get_ref() > MOST_RESTARTS
        {
            self.add(number.span(), format!("it can be at most {MOST_RESTARTS}"));
        }
        self.at_least_one(number, usual)
    }

    fn at_least_one(&mut self, number: Option<&Spanned<u32>>, usual: u32) -> u32 {
        let Some(number) = number else {
            return usual;
        };
        if *number.get_ref() == 0 {
            self.add(number.span(), "it must be at least 1");
        }
        *number.get_ref()
    }
}
