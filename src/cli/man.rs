//! `logtap man`: manual pages of the program, of each command, and of the configuration file.

use std::{fs, path::PathBuf};

use anyhow::Context as _;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::Exit;
use crate::config::keys::{Describe, Shape, TABLES, Table};

/// What stands at the foot of every page.
const VERSION: &str = concat!("logtap ", env!("CARGO_PKG_VERSION"));

/// Writes the manual pages into a directory
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The directory; it is made when it does not exist
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Writes them.
pub(super) fn run(arguments: &Arguments, command: clap::Command) -> anyhow::Result<Exit> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let directory = &arguments.directory;
    let context = || directory.display().to_string();
    fs::create_dir_all(directory).with_context(context)?;
    for command in std::iter::once(&command).chain(command.get_subcommands().filter(|command| !command.is_hide_set())) {
        Man::new(command.clone()).source(VERSION).manual("logtap").generate_to(directory).with_context(context)?;
    }
    fs::write(directory.join("logtap.toml.5"), configuration_page()).with_context(context)?;
    Ok(Exit::Success)
}

/// logtap.toml(5), from the table of keys.
fn configuration_page() -> String {
    let mut page = Roff::new();
    page.control("TH", ["logtap.toml", "5", "", VERSION, "logtap"]);
    page.control("SH", ["NAME"]);
    page.text([roman("logtap.toml - configuration of the log streaming daemon")]);
    page.control("SH", ["SYNOPSIS"]);
    page.text([roman("/etc/logtap/logtap.toml")]);
    page.control("br", []);
    page.text([roman("/etc/logtap/conf.d/*.toml")]);
    page.control("SH", ["DESCRIPTION"]);
    for paragraph in DESCRIPTION {
        page.control("PP", []);
        page.text([roman(*paragraph)]);
    }
    for table in &TABLES {
        describe_table(&mut page, table);
    }
    page.control("SH", ["EXAMPLE"]);
    page.control("nf", []);
    for line in EXAMPLE.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
    page.control("SH", ["SEE ALSO"]);
    page.text([
        bold("logtap"),
        roman("(1), "),
        bold("logtap-serve"),
        roman("(1), "),
        bold("logtap-check"),
        roman("(1)"),
    ]);
    page.render()
}

const DESCRIPTION: &[&str] = &[
    "The file is TOML. After it the drop-ins are read, in the order of their names: of a key that is given several \
     times the last one counts, and a [[source]] of a known name replaces that one. The environment variables \
     LOGTAP_CONFIG, LOGTAP_LISTEN and LOGTAP_LOG go over files, and arguments go over all.",
    "A key that is not described here is an error. All errors are told at once, with file, line and column; logtap \
     check tells them without starting anything, and shows what the configuration comes to and where each value comes \
     from.",
    "On SIGHUP, and when a file has changed, everything is read again. A configuration with errors is refused and the \
     old one stays. Sources that did not change keep their subscribers. listen, cache and whether there is a [tls] take \
     effect when the daemon starts anew; the log warns of it.",
    "A size is a whole number with a unit: B, KiB, MiB, GiB (powers of 1024) or kB, MB, GB (powers of 1000). A duration \
     is whole numbers with units: w, d, h, m, s, ms, as in 1h30m.",
];

const EXAMPLE: &str = r#"[server]
listen = ["unix:/run/logtap/logtap.sock", "127.0.0.1:50051"]

[[source]]
name = "nginx"
paths = ["/var/log/nginx/*.log"]

[[source]]
name = "payments"
paths = ["/srv/payments/log/**/*.log"]
exclude = ["debug*.log"]
multiline = { start = '^\d{4}-' }
labels = { team = "payments" }"#;

fn describe_table(page: &mut Roff, table: &Table) {
    let name = if table.repeated { format!("[[{}]]", table.name) } else { format!("[{}]", table.name) };
    page.control("SH", [name.to_uppercase().as_str()]);
    page.text([roman(table.about)]);
    for key in table.keys {
        page.control("TP", []);
        let example = match key.shape() {
            Shape::Count(..) | Shape::Size(..) | Shape::Time(..) => key.default_toml(),
            Shape::Text(_) | Shape::Texts(_) | Shape::Switch | Shape::Choice(_) | Shape::Multiline | Shape::Labels => {
                None
            }
        };
        page.text([bold(key.name()), roman(" = "), roman(example.unwrap_or_else(|| key.shape().example()))]);
        page.text([roman(format!("{} {}", key.about(), facts(*key)))]);
    }
}

/// What is to be known of a key beside what it is for.
fn facts(key: &dyn Describe) -> String {
    let range = match key.shape() {
        Shape::Count(least, most) => format!("From {least} to {most}. "),
        Shape::Choice(words) => format!("One of {}. ", words.join(", ")),
        Shape::Text(_)
        | Shape::Texts(_)
        | Shape::Size(..)
        | Shape::Time(..)
        | Shape::Switch
        | Shape::Multiline
        | Shape::Labels => String::new(),
    };
    match (key.default_toml(), key.is_required()) {
        (Some(default), _) => format!("{range}Default: {default}."),
        (None, true) => format!("{range}Required."),
        (None, false) => range.trim_end().to_owned(),
    }
}
