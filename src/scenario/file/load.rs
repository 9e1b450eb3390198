//! How load comes and what it asks for, as typed: rates that change, and requests.
//!
//! The words are those of the clients' own libraries where they agree: gRPC's `retryPolicy`, the pools of HTTP clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scenario::value::{At, Dur, Rate};

/// A rate from a time on.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateStep {
    /// From when, since the run began.
    pub at: At<Dur>,
    /// How many a second over all instances. 0/s: none.
    pub rate: At<Rate>,
}

/// A rate that goes up and down like a day: a sine.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DailyRate {
    /// The least, half a period before and after the most.
    pub low: At<Rate>,
    /// The most.
    pub high: At<Rate>,
    /// When it is the most, since the run began. Default 12h; with another `period`, half of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high_at: Option<At<Dur>>,
    /// How long a day is. Default 24h.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<At<Dur>>,
}

/// Recorded rates, such as a metric's points: each counts for as long as the next.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateSeries {
    /// How far they are apart.
    pub every: At<Dur>,
    /// One after the other, from `start` on. Afterwards there is no load.
    pub rates: At<Vec<At<Rate>>>,
}

/// What each arrival of a load is instead of a connection: a request to the workload, which calls the destination.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// How long the instance works on a request before it calls. Default 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processing: Option<At<Dur>>,
    /// Calls that a request makes, one after the other; each sends `requestBytes` and waits for `responseBytes`. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<At<i64>>,
    /// How long the server thinks before it responds. Default 0s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub think_time: Option<At<Dur>>,
    /// How long the client waits for a call: for a connection, and for the response. A retry has as much again. Default: for
    /// ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<At<Dur>>,
    /// Calls that failed are tried again. Default: they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<At<RetryPolicy>>,
    /// Connections are kept and used again, by each instance its own. Default: a connection for each call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<At<Pool>>,
    /// Who is asked for the address before each new connection. Default: nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns: Option<At<Dns>>,
}

/// How a call that failed is tried again, in gRPC's words. Before attempt n + 1 the client waits `initialBackoff` ×
/// `backoffMultiplier`ⁿ⁻¹, `maxBackoff` at most, or with jitter a random time up to that.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// The first attempt counts.
    pub max_attempts: At<i64>,
    /// Default 100ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_backoff: Option<At<Dur>>,
    /// Default 10s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_backoff: Option<At<Dur>>,
    /// 1 or more. Default 2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_multiplier: Option<At<f64>>,
    /// Default `full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<At<Jitter>>,
}

/// How waits before retries vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Jitter {
    /// Any time from none to all of it.
    Full,
    /// All of it.
    None,
}

/// Connections that an instance keeps.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// Connections of an instance at most, those that are still connecting included. Who needs one more waits until one is
    /// free, for the call's `timeout` at most.
    pub size: At<i64>,
    /// A connection that nobody has used for so long is closed. Default 90s, as in Go's `http.DefaultTransport`; 0s: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<At<Dur>>,
    /// A connection that is so old is closed once it is free. Default: at any age.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<At<Dur>>,
}

/// A name server.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dns {
    /// `host:port` or `ip:port`. Asked over UDP: once more after 5 s, and after another 5 s the look-up has failed, as with
    /// glibc. Each of the two is a connection of its own in the result.
    pub server: At<String>,
    /// How long an instance remembers the answer. Default 0s: until the next connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<At<Dur>>,
}

/// Clients that each send a request, wait until it has succeeded or failed, and send the next.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workers {
    /// How many of them an instance has, from its start to its end.
    pub per_instance: At<i64>,
    /// How long each waits before the next. Default 0s; after a failure a millisecond at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<At<Dur>>,
    /// Requests that each sends. Default: as many as there is time for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<At<i64>>,
}
