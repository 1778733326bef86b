//! `docs/examples`.

use std::path::PathBuf;

use waypost_config::{Options, Source, Style, render};
use waypost_proxy::build::{Assets, load};
use waypost_testkit::workspace_root;

pub(crate) fn folder() -> PathBuf {
    workspace_root().join("docs/examples")
}

#[test]
fn every_example_loads_and_is_in_the_list() {
    let assets = workspace_root().join("testdata/geo");
    let assets = Assets::new(None, &|name| (name == "WAYPOST_ASSETS").then(|| assets.clone().into()));
    let list = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let mut n_examples = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        n_examples += 1;
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(list.contains(&format!("- `{name}`: ")), "{name}");
        let source = Source::new(&*name, std::fs::read(&path).unwrap()).unwrap();
        let loaded = load(&source, &Options::default(), &assets);
        let said = render(&source, &loaded.diagnostics, Style::Plain);
        assert!(loaded.ready.is_some(), "{said}");
        // Its spare balancer and its strategy, which has no effect beside its last rule, are meant.
        assert!(said.is_empty() || name == "seed.json", "{said}");
    }
    assert_eq!(list.matches("- `").count(), n_examples);
}
