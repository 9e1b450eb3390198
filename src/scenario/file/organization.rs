//! Organization policies, as `gcloud org-policies describe` prints them (`orgpolicy.googleapis.com` v2,
//! <https://docs.cloud.google.com/resource-manager/docs/reference/orgpolicy/rest/v2/projects.policies>), and in the older
//! shape of `gcloud resource-manager org-policies describe` (Cloud Resource Manager v1).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::google_enum;
use crate::scenario::value::At;

/// An organization policy. Of the constraints `run.allowedVPCEgress` is looked at.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrgPolicy {
    /// `projects/P/policies/run.allowedVPCEgress`; also of a folder or an organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<At<String>>,
    /// What it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<OrgPolicySpec>,
    /// In the older shape: `constraints/run.allowedVPCEgress`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraint: Option<At<String>>,
    /// In the older shape: what it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list_policy: Option<ListPolicy>,
    /// In the older shape: what Google allows by default holds again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore_default: Option<serde_json::Value>,
}

/// What a policy says.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrgPolicySpec {
    /// Its rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<At<OrgPolicyRule>>>,
    /// The policies above it hold, too. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherit_from_parent: Option<bool>,
    /// What Google allows by default holds again, whatever the policies above say. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reset: Option<bool>,
}

/// One rule of a policy: exactly one of its fields beside `condition`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrgPolicyRule {
    /// What is allowed and what is denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<PolicyValues>,
    /// Everything is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_all: Option<bool>,
    /// Nothing is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny_all: Option<bool>,
    /// For resources with some tags only. Such a rule is not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<At<serde_json::Value>>,
}

/// Values of a list constraint. Those of `run.allowedVPCEgress` are `private-ranges-only` and `all-traffic`; the API's own
/// spelling and the prefix `is:` are read, too.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyValues {
    /// Only these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_values: Option<Vec<At<String>>>,
    /// Not these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied_values: Option<Vec<At<String>>>,
}

/// A policy for a list constraint, in the older shape.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListPolicy {
    /// Only these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_values: Option<Vec<At<String>>>,
    /// Not these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denied_values: Option<Vec<At<String>>>,
    /// `ALLOW` or `DENY` everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_values: Option<AllValues>,
    /// The policies above it hold, too. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inherit_from_parent: Option<bool>,
}

google_enum! {
    /// What becomes of all values.
    AllValues { Allow, Deny, AllValuesUnspecified }
}
