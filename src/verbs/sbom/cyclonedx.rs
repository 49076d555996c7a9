//! CycloneDX 1.6 (<https://cyclonedx.org/docs/1.6/json/>): each package a component that holds its
//! files; files of no package are components beside them, and say so.

use serde_json::{Value, json};

use super::licences::identifier;
use super::{Bill, Material};
use crate::host::packages::Package;

pub(super) fn document(bill: &Bill) -> Value {
    let root = format!("jail:{}", bill.name);
    let mut components: Vec<Value> = bill
        .packages
        .packages
        .iter()
        .enumerate()
        .map(|(place, package)| component(bill, place, package))
        .collect();
    components.extend(bill.files_of(None).map(of_no_package));
    let references: Vec<Value> = components
        .iter()
        .filter_map(|component| component.get("bom-ref").cloned())
        .collect();
    let mut dependencies = vec![json!({ "ref": root, "dependsOn": references })];
    dependencies.extend(
        references
            .iter()
            .map(|reference| json!({ "ref": reference })),
    );
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", bill.uuid),
        "version": 1,
        "metadata": {
            "timestamp": bill.time,
            "tools": { "components": [{
                "type": "application",
                "name": "gaoler",
                "version": env!("CARGO_PKG_VERSION"),
            }] },
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": bill.name,
                "version": format!("generation {}", bill.generation),
            },
        },
        "components": components,
        "dependencies": dependencies,
    })
}

fn component(bill: &Bill, place: usize, package: &Package) -> Value {
    let url = bill.url(package);
    let files: Vec<Value> = bill.files_of(Some(place)).map(file).collect();
    let mut component = json!({
        "type": "library",
        "bom-ref": url,
        "name": package.name,
        "version": package.version,
        "purl": url,
        "properties": [property("gaoler:architecture", &package.architecture)],
        "components": files,
    });
    if let (Some(licence), Some(fields)) = (&package.licence, component.as_object_mut()) {
        let licence = match identifier(licence) {
            Some(id) => json!({ "license": { "id": id } }),
            None => json!({ "license": { "name": licence } }),
        };
        fields.insert("licenses".to_owned(), json!([licence]));
    }
    component
}

fn file(material: &Material) -> Value {
    json!({
        "type": "file",
        "bom-ref": format!("file:{}", material.path),
        "name": material.path,
        "hashes": [
            { "alg": "SHA-1", "content": material.sha1 },
            { "alg": "SHA-256", "content": material.sha256 },
        ],
    })
}

fn of_no_package(material: &Material) -> Value {
    let mut component = file(material);
    let origin = match &material.source {
        Some(source) => format!("{} of the host", source.display()),
        None => "written by gaoler".to_owned(),
    };
    let properties = json!([
        property("gaoler:package", "none"),
        property("gaoler:origin", &origin)
    ]);
    if let Some(fields) = component.as_object_mut() {
        fields.insert("properties".to_owned(), properties);
    }
    component
}

fn property(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}
