//! Any text as a configuration: refused with at least one problem, each shown without anything that a terminal would obey,
//! or a configuration that is the same when what `logtap check` shows of it is loaded.

#![no_main]

use std::{fmt::Write as _, fs::File, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use logtap::config::{Effective, Inputs, Loaded, Problems};

static FILE: LazyLock<File> = LazyLock::new(logtap_fuzz::unnamed_file);

fuzz_target!(|text: &[u8]| {
    match load(text) {
        Ok(loaded) => {
            assert!(!loaded.config.sources.is_empty() && !loaded.config.server.listen.is_empty());
            let shown = toml_of(&loaded.effective);
            let again = load(shown.as_bytes()).unwrap_or_else(|problems| panic!("{shown}\n{problems}"));
            assert_eq!(again.config, loaded.config, "{shown}");
            assert!(loaded.config.needs_restart(&again.config).is_empty());
            assert_eq!(toml_of(&again.effective), shown);
        }
        Err(problems) => {
            assert!(problems.count() > 0);
            let shown = problems.to_string();
            assert!(shown.lines().count() >= problems.count());
            assert!(!shown.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{shown:?}");
        }
    }
});

fn load(text: &[u8]) -> Result<Loaded, Problems> {
    logtap_fuzz::fill(&FILE, text);
    Inputs { file: Some(logtap_fuzz::path_of(&FILE)), ..Inputs::default() }.load()
}

/// The effective configuration as a file.
fn toml_of(effective: &[Effective]) -> String {
    let (mut text, mut table) = (String::new(), "");
    for Effective { table: of, key, value, .. } in effective {
        if table != of || *key == "name" {
            table = of;
            writeln!(text, "{table}").expect("memory");
        }
        writeln!(text, "{key} = {value}").expect("memory");
    }
    text
}
