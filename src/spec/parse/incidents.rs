//! Checks of `[incidents]`.

use super::document::{IncidentsTable, Text};
use super::problem::Problems;
use super::value::shown;
use crate::spec::{IncidentKind, Incidents, Webhook};

impl Problems<'_> {
    /// What is done when there is one.
    pub(super) fn incidents(&mut self, table: &IncidentsTable) -> Incidents {
        let mut freeze: Vec<IncidentKind> = table
            .freeze
            .iter()
            .filter_map(|text| self.incident_kind(text))
            .collect();
        freeze.sort_unstable();
        freeze.dedup();
        Incidents {
            freeze,
            command: self.optional_command(table.command.as_ref()),
            webhook: table.webhook.as_ref().and_then(|text| self.webhook(text)),
        }
    }

    fn incident_kind(&mut self, text: &Text) -> Option<IncidentKind> {
        let all = IncidentKind::ALL;
        let found = all.into_iter().find(|kind| kind.name() == text.get_ref());
        if found.is_none() {
            let title = format!("`{}` is no kind of incident", shown(text.get_ref()));
            let known = all.map(IncidentKind::name).join(", ");
            self.add_with_hint(text.span(), title, format!("one of {known}"));
        }
        found
    }

    fn webhook(&mut self, text: &Text) -> Option<Webhook> {
        let webhook = Webhook::read(text.get_ref());
        if webhook.is_none() {
            let title = format!("`{}` is no webhook", shown(text.get_ref()));
            self.add_with_hint(text.span(), title, Webhook::FORMS);
        }
        webhook
    }
}
