//! `[[socket]]`: what the service is given when it is started.
use super::document::SocketTable;
use super::problem::Problems;
use super::value::Seen;
use crate::spec::{BACKLOG, Listen, MOST_SOCKETS, SOCKET_MODE, SocketRule};

impl Problems<'_> {
    pub(super) fn sockets(&mut self, tables: &[SocketTable]) -> Vec<SocketRule> {
        let mut names = Seen::new();
        let mut places = Seen::new();
        let mut sockets = Vec::new();
        for table in tables {
            let socket = self.socket(table);
            // A manager may hand over several under one name; of what is made here, each has its own.
            if socket.listen != Listen::Manager {
                let (name, place) = (socket.name.clone(), socket.listen.to_string());
                let what = format!("socket `{name}`");
                self.once(&mut names, name, table.name.span(), what);
                let what = format!("`{place}`");
                self.once(&mut places, place, table.listen.span(), what);
            }
            sockets.push(socket);
        }
        if let Some(table) = tables.get(MOST_SOCKETS) {
            let title = format!("more than {MOST_SOCKETS} sockets");
            self.add(table.name.span(), title);
        }
        sockets
    }

    fn socket(&mut self, table: &SocketTable) -> SocketRule {
        let listen = Listen::read(table.listen.get_ref()).unwrap_or_else(|| {
            let title = "that is no place to listen at";
            self.add_with_hint(table.listen.span(), title, Listen::FORMS);
            Listen::Manager
        });
        self.only_where_it_means_something(table, &listen);
        let backlog = table.backlog.as_ref();
        if backlog.is_some_and(|backlog| !(1..=i32::MAX as u32).contains(backlog.get_ref())) {
            let span = table.backlog.as_ref().map_or(0..0, toml::Spanned::span);
            self.add(span, "no connection could wait, or more than can");
        }
        SocketRule {
            name: self.name(&table.name),
            backlog: backlog.map_or(BACKLOG, |backlog| *backlog.get_ref()),
            only_ipv6: table.only_ipv6.as_ref().is_some_and(|it| *it.get_ref()),
            reuse_port: table.reuse_port.as_ref().is_some_and(|it| *it.get_ref()),
            mode: match &table.mode {
                Some(mode) => self.umask(mode),
                None => SOCKET_MODE,
            },
            user: table
                .user
                .as_ref()
                .map(|user| self.account(user, "user", true)),
            group: table
                .group
                .as_ref()
                .map(|group| self.account(group, "group", true)),
            because: self.because(&table.because),
            listen,
        }
    }

    /// A key that would do nothing is a mistake.
    fn only_where_it_means_something(&mut self, table: &SocketTable, listen: &Listen) {
        let span = |there: bool, span: Option<std::ops::Range<usize>>| span.filter(|_| !there);
        let is_file = matches!(listen, Listen::Unix(_));
        let misplaced = [
            (
                "backlog is for tcp and unix",
                span(
                    listen.has_backlog(),
                    table.backlog.as_ref().map(toml::Spanned::span),
                ),
            ),
            (
                "only_ipv6 is for an IPv6 address",
                span(
                    listen.is_ipv6(),
                    table.only_ipv6.as_ref().map(toml::Spanned::span),
                ),
            ),
            (
                "reuse_port is for tcp and udp",
                span(
                    listen.port().is_some(),
                    table.reuse_port.as_ref().map(toml::Spanned::span),
                ),
            ),
            (
                "mode is for unix",
                span(is_file, table.mode.as_ref().map(toml::Spanned::span)),
            ),
            (
                "user is for unix",
                span(is_file, table.user.as_ref().map(toml::Spanned::span)),
            ),
            (
                "group is for unix",
                span(is_file, table.group.as_ref().map(toml::Spanned::span)),
            ),
        ];
        for (title, span) in misplaced {
            if let Some(span) = span {
                self.add(span, title);
            }
        }
    }
}
