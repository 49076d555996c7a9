//! What the five documents that gaoler follows ask for and warn of, line by line, and what answers
//! each: rules, or that it cannot come about, with the test that shows it.

mod bind8;
mod bind9;
mod cage;
mod chroot;
mod jailed;

/// A document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// Steve Friedl's.
    BestPractices,
    /// Scott Wunsch's.
    Bind8Howto,
    /// Carsten Strotmann's.
    Bind9Security,
    /// Hubert Feyrer's.
    ChrootCage,
    /// Liam Widdowson's.
    JailedServices,
}

impl Document {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::BestPractices,
        Self::Bind8Howto,
        Self::ChrootCage,
        Self::JailedServices,
        Self::Bind9Security,
    ];

    /// Its title.
    pub fn title(self) -> &'static str {
        match self {
            Self::BestPractices => "Best practices for UNIX chroot() operations",
            Self::Bind8Howto => "Chroot-BIND8 HOWTO",
            Self::Bind9Security => "BIND 9 Security (Part 2 - AppArmor, SecompBPF and Firejail)",
            Self::ChrootCage => "Running BIND9 in a chroot cage using NetBSD's new startup system",
            Self::JailedServices => "Jailed Internet Services",
        }
    }
}

/// One principle or warning.
#[derive(Clone, Copy, Debug)]
pub struct Principle {
    /// What the document says, in a line.
    pub says: &'static str,
    /// The rules that look for the opposite.
    pub rules: &'static [&'static str],
    /// How it cannot come about, if so; empty if not.
    pub built_in: &'static str,
    /// The test that shows that: file and function.
    pub test: Option<(&'static str, &'static str)>,
}

/// Answered by rules.
const fn by_rules(says: &'static str, rules: &'static [&'static str]) -> Principle {
    Principle {
        says,
        rules,
        built_in: "",
        test: None,
    }
}

/// Answered by how gaoler is made.
const fn built_in(
    says: &'static str,
    how: &'static str,
    test: (&'static str, &'static str),
) -> Principle {
    Principle {
        says,
        rules: &[],
        built_in: how,
        test: Some(test),
    }
}

impl Principle {
    /// Answered by rules too.
    const fn and(self, rules: &'static [&'static str]) -> Self {
        Self { rules, ..self }
    }
}

/// What a document says, in its order.
pub fn of(document: Document) -> &'static [Principle] {
    match document {
        Document::BestPractices => chroot::PRINCIPLES,
        Document::Bind8Howto => bind8::WARNINGS,
        Document::Bind9Security => bind9::WARNINGS,
        Document::ChrootCage => cage::WARNINGS,
        Document::JailedServices => jailed::WARNINGS,
    }
}

/// The documents that a rule answers.
pub fn sources(rule: &str) -> Vec<(Document, &'static str)> {
    Document::ALL
        .into_iter()
        .flat_map(|document| of(document).iter().map(move |one| (document, one)))
        .filter(|(_, one)| one.rules.contains(&rule))
        .map(|(document, one)| (document, one.says))
        .collect()
}
