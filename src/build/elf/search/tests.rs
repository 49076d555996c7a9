use proptest::prelude::*;

use super::*;

fn layout() -> Layout {
    Layout {
        directories: vec!["/lib/".into(), "/usr/lib/".into()],
        lib: "lib/multi".into(),
        platform: "cpu",
    }
}

fn loaded(path: &str, rpath: Option<&str>, runpath: Option<&str>, loader: Option<usize>) -> Loaded {
    let object = ElfObject {
        rpath: rpath.map(str::to_owned),
        runpath: runpath.map(str::to_owned),
        ..ElfObject::default()
    };
    let mut loaded = Loaded::new(path.into(), Path::new(path), Arc::new(object), &layout());
    loaded.loader = loader;
    loaded
}

fn directories(places: &[Place]) -> Vec<&str> {
    fn directory(place: &Place) -> Option<&str> {
        match place {
            Place::Directory(directory) => Some(directory),
            Place::Cache { .. } => None,
        }
    }
    places
        .iter()
        .take_while(|place| **place != Place::Cache { defaults: true })
        .filter_map(directory)
        .collect()
}

#[test]
fn tokens_are_replaced_where_no_identifier_goes_on() {
    let expand = |text| expand(text, "/o", &layout());
    assert_eq!(expand("$ORIGIN/../x"), "/o/../x");
    assert_eq!(expand("a${ORIGIN}b"), "a/ob");
    assert_eq!(expand("/$LIB/$PLATFORM/${LIB}"), "/lib/multi/cpu/lib/multi");
    assert_eq!(expand("$ORIGINAL/$LIB_/${LIB/$"), "$ORIGINAL/$LIB_/${LIB/$");
    assert_eq!(expand("$$LIB"), "$lib/multi");
}

#[test]
fn rpath_is_followed_up_to_the_program() {
    let chain = [
        loaded("/bin/p", Some("/p"), None, None),
        loaded("/l/a", None, Some("/run-a"), Some(0)),
        loaded("/l/b", Some("$ORIGIN/b"), None, Some(1)),
    ];
    assert_eq!(directories(&places(&chain, 2, &layout())), ["/l/b/", "/p/"]);
    assert_eq!(directories(&places(&chain, 1, &layout())), ["/run-a/"]);
    assert_eq!(directories(&places(&chain, 0, &layout())), ["/p/"]);
}

#[test]
fn the_cache_and_the_default_directories_come_last() {
    let chain = [loaded("/bin/p", None, None, None)];
    let last = |directory: &str| Place::Directory(directory.into());
    let expected = [
        Place::Cache { defaults: true },
        last("/lib/"),
        last("/usr/lib/"),
    ];
    assert_eq!(places(&chain, 0, &layout()), expected);
}

#[test]
fn no_default_directories_with_nodeflib() {
    let mut program = loaded("/bin/p", None, None, None);
    let object = ElfObject {
        no_default_directories: true,
        ..ElfObject::default()
    };
    program.object = Arc::new(object);
    assert_eq!(
        places(&[program], 0, &layout()),
        [Place::Cache { defaults: false }]
    );
}

#[test]
fn elements_of_a_path_end_in_one_slash() {
    let split = |list| split(list, "/o", &layout());
    assert_eq!(split("/a//:b::/"), ["/a/", "/b/", "/", "/"]);
    assert!(split("").is_empty());
}

proptest! {
    #[test]
    fn text_without_a_dollar_stays(text in "[^$]*") {
        prop_assert_eq!(expand(&text, "/o", &layout()), text);
    }

    #[test]
    fn any_text_is_expanded(text in "([${}]|ORIGIN|LIB|.){0,12}") {
        expand(&text, "/o", &layout());
        split(&text, "/o", &layout());
    }
}
