//! SPDX 2.3 (<https://spdx.github.io/spdx-spec/v2.3/>): the jail is a package that contains those of
//! the host, which contain their files, and the files of no package.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::licences::identifier;
use super::{Bill, Material, hexadecimal};

/// Nobody has looked.
const UNKNOWN: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const JAIL: &str = "SPDXRef-Jail";

pub(super) fn document(bill: &Bill) -> Value {
    let mut relationships = vec![relationship(DOCUMENT, "DESCRIBES", JAIL)];
    let mut packages = vec![jail(bill)];
    for (place, package) in bill.packages.packages.iter().enumerate() {
        let id = package_id(place);
        relationships.push(relationship(JAIL, "CONTAINS", &id));
        let declared = package.licence.as_deref().and_then(identifier);
        packages.push(json!({
            "SPDXID": id,
            "name": package.name,
            "versionInfo": package.version,
            "downloadLocation": UNKNOWN,
            "filesAnalyzed": true,
            "packageVerificationCode": verification(bill.files_of(Some(place))),
            "licenseConcluded": UNKNOWN,
            "licenseDeclared": declared.unwrap_or(UNKNOWN),
            "licenseInfoFromFiles": [UNKNOWN],
            "licenseComments": package.licence.as_deref().unwrap_or_default(),
            "copyrightText": UNKNOWN,
            "comment": "those of its files that are in the jail",
            "externalRefs": [{
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": bill.url(package),
            }],
        }));
    }
    let mut files = Vec::new();
    for (place, material) in bill.files.iter().enumerate() {
        let id = format!("SPDXRef-File-{place}");
        let owner = material.package.map_or_else(|| JAIL.to_owned(), package_id);
        relationships.push(relationship(&owner, "CONTAINS", &id));
        files.push(file(&id, material));
    }
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": bill.name,
        "documentNamespace": format!("https://spdx.org/spdxdocs/gaoler-{}-{}", bill.name, bill.uuid),
        "creationInfo": {
            "created": bill.time,
            "creators": [concat!("Tool: gaoler-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "files": files,
        "relationships": relationships,
    })
}

/// The jail itself.
fn jail(bill: &Bill) -> Value {
    json!({
        "SPDXID": JAIL,
        "name": bill.name,
        "versionInfo": format!("generation {}", bill.generation),
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": true,
        "packageVerificationCode": verification(bill.files_of(None)),
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": UNKNOWN,
        "licenseInfoFromFiles": [UNKNOWN],
        "copyrightText": UNKNOWN,
        "primaryPackagePurpose": "CONTAINER",
    })
}

fn file(id: &str, material: &Material) -> Value {
    let origin = match (&material.package, &material.source) {
        (Some(_), _) => String::new(),
        (None, Some(source)) => format!("of no package; {} of the host", source.display()),
        (None, None) => "of no package; written by gaoler".to_owned(),
    };
    json!({
        "SPDXID": id,
        "fileName": format!(".{}", material.path),
        "checksums": [
            { "algorithm": "SHA1", "checksumValue": material.sha1 },
            { "algorithm": "SHA256", "checksumValue": material.sha256 },
        ],
        "licenseConcluded": UNKNOWN,
        "licenseInfoInFiles": [UNKNOWN],
        "copyrightText": UNKNOWN,
        "comment": origin,
    })
}

/// The hash over the sorted hashes of a package's files (clause 7.9).
fn verification<'a>(files: impl Iterator<Item = &'a Material>) -> Value {
    // A set would lose files that hold the same.
    let hashes: BTreeSet<(&str, &str)> = files
        .map(|file| (file.sha1.as_str(), file.path.as_str()))
        .collect();
    let mut digest = Sha1::new();
    for (hash, _) in hashes {
        digest.update(hash);
    }
    json!({ "packageVerificationCodeValue": hexadecimal(&digest.finalize()) })
}

fn package_id(place: usize) -> String {
    format!("SPDXRef-Package-{place}")
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({
        "spdxElementId": from,
        "relationshipType": kind,
        "relatedSpdxElement": to,
    })
}
