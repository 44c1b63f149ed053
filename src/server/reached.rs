//! Limits that somebody ran into: counted each time, and told to the log seldom, whoever it is that provokes it.

use std::{fmt, sync::Arc, time::Instant};

use super::seldom::Seldom;
use crate::telemetry::{Limit, LimitLabel, Telemetry};

/// Where reached limits are noted.
#[derive(Debug)]
pub struct Reached {
    telemetry: Arc<Telemetry>,
    log: [Seldom; Limit::ALL.len()],
}

impl Reached {
    /// Notes them in `telemetry` and in the log.
    pub fn new(telemetry: Arc<Telemetry>) -> Arc<Self> {
        Arc::new(Self { telemetry, log: Default::default() })
    }

    /// The counters.
    pub fn telemetry(&self) -> &Arc<Telemetry> {
        &self.telemetry
    }

    /// Notes that `peer` ran into a limit, and what became of it.
    pub fn note(&self, limit: Limit, peer: &dyn fmt::Display, what: &str) {
        self.telemetry.limits_reached.get_or_create(&LimitLabel { limit }).inc();
        let log = Limit::ALL.iter().position(|known| *known == limit).and_then(|place| self.log.get(place));
        if let Some(unreported) = log.and_then(|log| log.allow(Instant::now())) {
            tracing::warn!(%peer, limit = limit.name(), unreported, "{what}");
        }
    }
}
