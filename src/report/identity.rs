//! Who a gateway and an endpoint are, in the words of Cloud Logging and Cloud Monitoring.
//!
//! A scenario has names; Google's records want numbers beside them (router, instance and project numbers). Those
//! numbers are derived from the names, so the same scenario gets the same numbers in every run and on every machine.
//! They resemble Google's in length only.

/// The project that resources are said to be in: a scenario has none.
pub const PROJECT: &str = "egressim";

/// A Cloud NAT gateway. Built once a run; every record borrows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayIdentity {
    /// Project of the gateway: the host project under Shared VPC.
    pub project_id: String,
    /// Region name.
    pub region: String,
    /// VPC network name.
    pub network: String,
    /// Cloud Router name.
    pub router: String,
    /// Gateway name.
    pub gateway: String,
}

impl GatewayIdentity {
    /// The number Google would have given the Cloud Router.
    pub fn router_id(&self) -> u64 {
        resource_number(&[&self.project_id, &self.region, "routers", &self.router])
    }

    /// The project's number, twelve digits as Google's.
    pub fn project_number(&self) -> u64 {
        100_000_000_000 + resource_number(&["projects", &self.project_id]) % 900_000_000_000
    }
}

/// A NAT endpoint: a VM, a connector's VM or a Direct VPC instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointIdentity {
    /// Project it runs in: a service project under Shared VPC.
    pub project_id: String,
    /// VM or instance name.
    pub vm_name: String,
    /// Region name.
    pub region: String,
    /// Zone name.
    pub zone: String,
    /// Project of its network.
    pub network_project_id: String,
    /// VPC network name.
    pub network: String,
    /// Subnet name.
    pub subnetwork: String,
}

impl EndpointIdentity {
    /// The number Google would have given the instance.
    pub fn instance_id(&self) -> u64 {
        resource_number(&[&self.project_id, &self.zone, "instances", &self.vm_name])
    }
}

/// FNV-1a over the parts, each closed by a zero byte so that ("ab", "c") and ("a", "bc") differ. 63 bits with the
/// highest set: nineteen digits, as most of Google's ids have.
pub(super) fn resource_number(parts: &[&str]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let hash = parts
        .iter()
        .flat_map(|part| part.bytes().chain([0]))
        .fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    hash >> 2 | 1 << 62
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report) fn gateway() -> GatewayIdentity {
        GatewayIdentity {
            project_id: "demo-net".into(),
            region: "us-east4".into(),
            network: "vpc-a".into(),
            router: "rtr-a".into(),
            gateway: "nat-a".into(),
        }
    }

    pub(in crate::report) fn endpoint(vm_name: &str) -> EndpointIdentity {
        EndpointIdentity {
            project_id: "demo-app".into(),
            vm_name: vm_name.into(),
            region: "us-east4".into(),
            zone: "us-east4-b".into(),
            network_project_id: "demo-net".into(),
            network: "vpc-a".into(),
            subnetwork: "sub-a".into(),
        }
    }

    #[test]
    fn numbers_depend_on_names_alone_and_look_like_googles() {
        assert_eq!(gateway().router_id(), gateway().router_id());
        assert_eq!(gateway().router_id().to_string().len(), 19);
        assert_eq!(gateway().project_number().to_string().len(), 12);
        assert_ne!(endpoint("web-1").instance_id(), endpoint("web-2").instance_id());
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(resource_number(&["ab", "c"]), resource_number(&["a", "bc"]));
    }
}
