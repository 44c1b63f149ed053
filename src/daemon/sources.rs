//! From the configuration's sources to those that watching and parsing work with.

use std::sync::Arc;

use crate::{
    config,
    parse::{Format, Multiline, Rules, RulesSpec},
    watch::{
        Configured, Settings, Source,
        pattern::{NameGlob, Pattern},
    },
};

/// Compiles the sources of a configuration. What did not change since `before` stays the same source.
///
/// # Errors
/// What the configuration let pass although it does not compile, with the source's name.
pub fn compile(
    next: &[config::Source],
    before: &[config::Source],
    known: &[Arc<Source>],
) -> Result<Vec<Configured>, String> {
    let named = |source: &config::Source| {
        let known = known.iter().find(|known| *known.name == *source.name);
        if let (Some(known), true) = (known, before.contains(source)) {
            return Ok(Configured::Kept(known.clone()));
        }
        let settings = settings_of(source).map_err(|why| format!("source {}: {why}", source.name))?;
        Ok(match known {
            Some(known) => Configured::Changed(known.clone(), Arc::new(settings)),
            None => Configured::New(Arc::new(Source::new(source.name.to_string(), settings))),
        })
    };
    next.iter().map(named).collect()
}

fn settings_of(source: &config::Source) -> Result<Settings, String> {
    let patterns: Result<_, _> = source.paths.iter().map(|glob| Pattern::new(glob)).collect();
    let exclude: Result<_, _> = source.exclude.iter().map(|glob| NameGlob::new(glob)).collect();
    let rules = Rules::new(&rules_of(source)).map_err(|error| error.to_string())?;
    Ok(Settings {
        patterns: patterns.map_err(|error| error.to_string())?,
        exclude: exclude.map_err(|error| error.to_string())?,
        rules: Arc::new(rules),
        line_max: source.max_line,
        archives: source.archives,
    })
}

fn rules_of(source: &config::Source) -> RulesSpec {
    let (format, pattern) = match &source.format {
        config::Format::Auto => (Format::Auto, None),
        config::Format::Raw => (Format::Raw, None),
        config::Format::Json => (Format::Json, None),
        config::Format::Logfmt => (Format::Logfmt, None),
        config::Format::Syslog => (Format::Syslog, None),
        config::Format::Cri => (Format::Cri, None),
        config::Format::Docker => (Format::Docker, None),
        config::Format::Klog => (Format::Klog, None),
        config::Format::Clf => (Format::Clf, None),
        config::Format::Regex(pattern) => (Format::Regex, Some(pattern.clone())),
    };
    let multiline = match &source.multiline {
        config::Multiline::Off => Multiline::Off,
        config::Multiline::Indent => Multiline::Indent,
        config::Multiline::Start(pattern) => Multiline::Start(pattern.clone()),
    };
    let labels = source.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    RulesSpec { format, pattern, timezone: zone_of(&source.timezone), multiline, labels }
}

fn zone_of(zone: &config::Timezone) -> String {
    match zone {
        config::Timezone::Local => "local".to_owned(),
        config::Timezone::Utc => "UTC".to_owned(),
        config::Timezone::Named(name) => name.clone(),
        config::Timezone::Fixed(east) => {
            let (sign, minutes) = (if *east < 0 { '-' } else { '+' }, east.unsigned_abs() / 60);
            format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
    }
}
