//! The page: what is on it, and what keys do. Knows no terminal.

use std::time::Duration;

use ratatui::Frame;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Table, TableState};

use super::{HEADING, Row, rows};
use crate::watch::top::JailUsage;

/// The keys, as the last line shows them.
const KEYS: &str = "q quit  up/down move  s/S sort  r reverse  / filter  p processes  \
                    +/- interval  space pause";

/// How wide the columns are; the last takes the rest.
const WIDTHS: [u16; 13] = [16, 10, 6, 9, 9, 7, 5, 5, 9, 9, 8, 6, 7];

/// The least that is left of a command line.
const SHORTEST_COMMAND: u16 = 10;

/// Columns that are left out where they do not fit, the first ones first: SHARED, OUT/s, IN/s,
/// THREADS, FOR, USER, RESTARTS, DENIED, PEERS, FILES.
const LEFT_OUT: [usize; 10] = [4, 9, 8, 5, 12, 1, 10, 11, 7, 6];

/// The columns that fit into so much room.
fn columns(room: u16) -> Vec<usize> {
    let mut columns: Vec<usize> = (0..HEADING.len()).collect();
    for left_out in LEFT_OUT {
        // With the blank between them.
        let widths = columns.iter().filter_map(|column| WIDTHS.get(*column));
        if widths.map(|width| width + 1).sum::<u16>() + SHORTEST_COMMAND <= room {
            break;
        }
        columns.retain(|column| *column != left_out);
    }
    columns
}

/// How often a sample can be taken, at most and at least.
const INTERVALS: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(60)];

/// By what the jails are sorted, and within each its processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Cpu,
    Memory,
    Threads,
    Files,
    Peers,
    Restarts,
    Denied,
    Name,
}

impl Sort {
    const ALL: [Sort; 8] = [
        Sort::Cpu,
        Sort::Memory,
        Sort::Threads,
        Sort::Files,
        Sort::Peers,
        Sort::Restarts,
        Sort::Denied,
        Sort::Name,
    ];

    fn word(self) -> &'static str {
        match self {
            Sort::Cpu => "CPU%",
            Sort::Memory => "MEMORY",
            Sort::Threads => "THREADS",
            Sort::Files => "FILES",
            Sort::Peers => "PEERS",
            Sort::Restarts => "RESTARTS",
            Sort::Denied => "DENIED",
            Sort::Name => "JAIL/PID",
        }
    }

    /// The one so many places on.
    fn next(self, places: usize) -> Self {
        let at = Self::ALL.iter().position(|sort| *sort == self);
        let next = at.unwrap_or(0) + places;
        Self::ALL.into_iter().cycle().nth(next).unwrap_or(self)
    }
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Go on.
    Stay,
    /// The end.
    Quit,
}

/// What the user has chosen.
#[derive(Debug)]
pub(super) struct Page {
    sort: Sort,
    reverse: bool,
    filter: String,
    /// The filter is being typed.
    typing: bool,
    processes: bool,
    pub(super) paused: bool,
    pub(super) every: Duration,
    place: TableState,
}

impl Page {
    /// As it is at first, with a sample each `every`.
    pub(super) fn new(every: Duration) -> Self {
        let [shortest, longest] = INTERVALS;
        Self {
            sort: Sort::Cpu,
            reverse: false,
            filter: String::new(),
            typing: false,
            processes: true,
            paused: false,
            every: every.clamp(shortest, longest),
            place: TableState::default().with_selected(0),
        }
    }

    /// Does what a key says.
    pub(super) fn press(&mut self, key: KeyEvent) -> Wish {
        if key.kind == KeyEventKind::Release {
            return Wish::Stay;
        }
        // In raw mode the terminal sends no signal for it.
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            let ends = matches!(key.code, KeyCode::Char('c' | 'd'));
            return if ends { Wish::Quit } else { Wish::Stay };
        }
        if self.typing {
            self.type_filter(key.code);
            return Wish::Stay;
        }
        let [shortest, longest] = INTERVALS;
        match key.code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('s') => self.sort = self.sort.next(1),
            KeyCode::Char('S') => self.sort = self.sort.next(Sort::ALL.len() - 1),
            KeyCode::Char('r') => self.reverse = !self.reverse,
            KeyCode::Char('/') => {
                self.filter.clear();
                self.typing = true;
            }
            KeyCode::Char('p') => self.processes = !self.processes,
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Char('+') => self.every = (self.every * 2).min(longest),
            KeyCode::Char('-') => self.every = (self.every / 2).max(shortest),
            KeyCode::Up | KeyCode::Char('k') => self.place.select_previous(),
            KeyCode::Down | KeyCode::Char('j') => self.place.select_next(),
            KeyCode::PageUp => self.place.scroll_up_by(10),
            KeyCode::PageDown => self.place.scroll_down_by(10),
            KeyCode::Home => self.place.select_first(),
            KeyCode::End => self.place.select_last(),
            _ => {}
        }
        Wish::Stay
    }

    fn type_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.typing = false;
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(character) if !character.is_control() => self.filter.push(character),
            _ => {}
        }
    }

    /// Draws it.
    pub(super) fn draw(&mut self, frame: &mut Frame<'_>, jails: &[JailUsage]) {
        let rows = self.rows(jails);
        let areas = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(0),
            Constraint::Length(1),
        ]);
        let [above, middle, below] = areas.areas(frame.area());
        frame.render_widget(Paragraph::new(self.title(jails)), above);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let columns = columns(middle.width);
        let heading = columns.iter().filter_map(|column| HEADING.get(*column));
        let heading = heading.map(|word| {
            let is_sorted = *word == self.sort.word();
            Cell::new(*word).style(if is_sorted { bold } else { Style::new() })
        });
        let lines = rows.into_iter().map(|row| {
            let style = if row.is_jail { bold } else { Style::new() };
            let cells = columns.iter().filter_map(|column| row.cells.get(*column));
            TableRow::new(cells.cloned()).style(style)
        });
        let widths = columns.iter().map(|column| match WIDTHS.get(*column) {
            Some(width) => Constraint::Length(*width),
            None => Constraint::Min(SHORTEST_COMMAND),
        });
        let table = Table::new(lines, widths)
            .header(TableRow::new(heading).style(Modifier::UNDERLINED))
            .row_highlight_style(Modifier::REVERSED);
        frame.render_stateful_widget(table, middle, &mut self.place);
        let keys = if self.typing {
            format!("filter: {}_  (enter: keep, escape: none)", self.filter)
        } else {
            KEYS.to_owned()
        };
        frame.render_widget(Paragraph::new(keys), below);
    }

    fn title(&self, jails: &[JailUsage]) -> Line<'static> {
        let processes: usize = jails.iter().map(|jail| jail.processes.len()).sum();
        let direction = if self.reverse { ", reversed" } else { "" };
        let filter = match self.filter.is_empty() {
            true => String::new(),
            false => format!("   filter {}", self.filter),
        };
        let paused = if self.paused { "   paused" } else { "" };
        Line::from(format!(
            "gaoler top   jails {}, processes {processes}   by {}{direction}   every {} s{filter}{paused}",
            jails.len(),
            self.sort.word(),
            self.every.as_secs_f64(),
        ))
    }

    /// The rows in their order. A jail is there if it, or a process of it, has the filter's words.
    fn rows(&self, jails: &[JailUsage]) -> Vec<Row> {
        let mut jails: Vec<JailUsage> = jails.to_vec();
        jails.sort_by(|one, other| {
            let order = self.key(other).total_cmp(&self.key(one));
            self.turned(order.then_with(|| one.name.cmp(&other.name)))
        });
        for jail in &mut jails {
            jail.processes.sort_by(|one, other| {
                let key = |usage| self.key_of(usage);
                let order = key(&other.usage).total_cmp(&key(&one.usage));
                self.turned(order.then_with(|| one.pid.cmp(&other.pid)))
            });
        }
        let rows = jails.iter().map(|jail| self.filtered(rows(jail)));
        rows.flatten()
            .filter(|row| self.processes || row.is_jail)
            .collect()
    }

    fn filtered(&self, rows: Vec<Row>) -> Vec<Row> {
        let matches = |row: &Row| row.cells.iter().any(|cell| cell.contains(&self.filter));
        // All of a jail that matches; of others what matches, below their own row.
        let whole = rows.first().is_some_and(matches);
        let any = rows.iter().any(matches);
        let stays = |row: &Row| whole || any && (row.is_jail || matches(row));
        rows.into_iter().filter(stays).collect()
    }

    fn turned(&self, order: std::cmp::Ordering) -> std::cmp::Ordering {
        if self.reverse { order.reverse() } else { order }
    }

    fn key(&self, jail: &JailUsage) -> f64 {
        match self.sort {
            Sort::Restarts => number(jail.restarts),
            Sort::Denied => number(jail.denials.unwrap_or(0)),
            _ => self.key_of(&jail.usage),
        }
    }

    fn key_of(&self, usage: &crate::watch::top::Usage) -> f64 {
        match self.sort {
            Sort::Cpu => usage.cpu_percent.unwrap_or(0.0),
            Sort::Memory => number(usage.memory_kib),
            Sort::Threads => number(usage.threads),
            Sort::Files => number(usage.descriptors.unwrap_or(0)),
            Sort::Peers => number(usage.connections),
            Sort::Restarts | Sort::Denied | Sort::Name => 0.0,
        }
    }
}

/// For comparing: the largest are as good as equal.
fn number(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::watch::top::{ProcessUsage, Usage};

    fn usage(cpu: f64, memory_kib: u64, threads: u64) -> Usage {
        Usage {
            cpu_percent: Some(cpu),
            cpu_s: 7.0,
            memory_kib,
            shared_kib: memory_kib / 2,
            threads,
            descriptors: Some(threads + 3),
            connections: threads,
            received_per_s: Some(1234.5),
            sent_per_s: None,
            uptime_s: 3700,
        }
    }

    fn jails() -> Vec<JailUsage> {
        let process = |pid, command: &str, usage| ProcessUsage {
            pid,
            user: "bind".to_owned(),
            command: command.to_owned(),
            usage,
        };
        let jail = |name: &str, usage, processes| JailUsage {
            name: name.to_owned(),
            generation: 3,
            pid: 12,
            restarts: 2,
            denials: Some(1),
            usage,
            processes,
            ..JailUsage::default()
        };
        vec![
            jail(
                "named",
                usage(1.5, 56_000, 4),
                vec![
                    process(12, "/usr/sbin/named -f", usage(1.5, 50_000, 4)),
                    process(13, "evil \u{1b}[2J\u{202e}name", usage(0.0, 6_000, 1)),
                ],
            ),
            jail(
                "web",
                usage(80.0, 9_000, 1),
                vec![process(20, "/usr/sbin/nginx", usage(80.0, 9_000, 1))],
            ),
        ]
    }

    fn drawn(page: &mut Page, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| page.draw(frame, &jails())).unwrap();
        terminal.backend().to_string()
    }

    fn press(page: &mut Page, keys: &str) -> Wish {
        let mut wish = Wish::Stay;
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                '\u{1b}' => KeyCode::Esc,
                key => KeyCode::Char(key),
            };
            wish = page.press(KeyEvent::new(code, KeyModifiers::NONE));
        }
        wish
    }

    fn page() -> Page {
        Page::new(Duration::from_secs(2))
    }

    #[test]
    fn the_page() {
        insta::assert_snapshot!(drawn(&mut page(), 132, 9));
    }

    #[test]
    fn a_small_terminal_shows_what_it_can() {
        for (width, height) in [(40, 5), (3, 2), (1, 1)] {
            let text = drawn(&mut page(), width, height);
            assert_eq!(text.lines().count(), usize::from(height));
            let names = text.contains("web") && text.contains("80.0");
            assert!(names || height < 5, "{text}");
        }
    }

    #[test]
    fn keys_sort_filter_and_end() {
        let mut page = page();
        let order = |page: &Page| -> Vec<String> {
            let rows = page.rows(&jails());
            rows.iter()
                .map(|row| row.cells[0].trim().to_owned())
                .collect()
        };
        assert_eq!(order(&page), ["web", "20", "named", "12", "13"]);
        press(&mut page, "s");
        assert_eq!(order(&page), ["named", "12", "13", "web", "20"]);
        press(&mut page, "r");
        assert_eq!(order(&page), ["web", "20", "named", "13", "12"]);
        press(&mut page, "p");
        assert_eq!(order(&page), ["web", "named"]);
        press(&mut page, "prS/evil\n");
        assert_eq!(order(&page), ["named", "13"]);
        press(&mut page, "/web");
        assert!(drawn(&mut page, 100, 9).contains("filter: web_"));
        press(&mut page, "\n");
        assert_eq!(order(&page), ["web", "20"]);
        press(&mut page, "\u{1b}+ ");
        assert_eq!((page.every, page.paused), (Duration::from_secs(4), true));
        assert_eq!(order(&page).len(), 5);
        assert_eq!(press(&mut page, "q"), Wish::Quit);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(page.press(control_c), Wish::Quit);
    }
}
