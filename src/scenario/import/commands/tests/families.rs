//! Each family of commands, and each refusal.

use super::{clean, expect, findings, resources, run};

const NET: &str = "gcloud compute networks create vpc --subnet-mode=custom\n";

fn with_net(text: &str) -> String {
    format!("{NET}{text}")
}

#[test]
fn networks_and_subnets() {
    let text = "\
gcloud compute networks create vpc --subnet-mode=custom --bgp-routing-mode=global --mtu=8896
gcloud compute networks create old
gcloud compute networks update old --switch-to-custom-subnet-mode
gcloud compute networks subnets create s --network=vpc --region=r1 --range=10.0.0.0/24 \\
  --secondary-range=pods=10.4.0.0/20,services=10.8.0.0/24 --no-enable-private-ip-google-access \\
  --purpose=private-nat --stack-type=IPV4_IPV6 --ipv6-access-type=INTERNAL
gcloud compute networks subnets update s --region=r1 --enable-private-ip-google-access --remove-secondary-ranges=services
gcloud compute networks subnets expand-ip-range s --region=r1 --prefix-length=23
";
    let expected = "\
networks {name: vpc, autoCreateSubnetworks: false, mtu: 8896, routingConfig: {routingMode: GLOBAL}}
networks {name: old, autoCreateSubnetworks: false}
subnetworks {name: s, region: r1, network: vpc, ipCidrRange: 10.0.0.0/23, privateIpGoogleAccess: true, purpose: PRIVATE_NAT, \
stackType: IPV4_IPV6, ipv6AccessType: INTERNAL, secondaryIpRanges: [{rangeName: pods, ipCidrRange: 10.4.0.0/20}]}
";
    assert_eq!(clean(text), expected);
}

#[test]
fn connectors() {
    let text = "\
gcloud compute networks vpc-access connectors create c --network=vpc --region=r1 --range=10.8.0.0/28 --machine-type=f1-micro
gcloud compute networks vpc-access connectors update c --region=r1 --min-instances=3 --max-instances=5
gcloud compute networks vpc-access connectors create d --region=r1 --subnet=s --subnet-project=host \\
  --min-throughput=200 --max-throughput=300
";
    let expected = "\
connectors {name: c, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28, machineType: f1-micro, minInstances: 3, maxInstances: 5}
connectors {name: d, region: r1, subnet: {name: s, projectId: host}, minThroughput: 200, maxThroughput: 300}
";
    assert_eq!(clean(text), expected);
}

#[test]
fn gateways_with_every_flag() {
    let text = "\
gcloud compute routers create r --network=vpc --region=r1 --asn=64512
gcloud compute routers nats create n --router=r --region=r1 --auto-allocate-nat-external-ips \\
  --nat-custom-subnet-ip-ranges=a,b:pods,b:more,c:ALL --min-ports-per-vm=64 --tcp-time-wait-timeout=30s \\
  --udp-idle-timeout=60 --icmp-idle-timeout=1m --tcp-established-idle-timeout=20m --tcp-transitory-idle-timeout=30s \\
  --enable-endpoint-independent-mapping --enable-logging --log-filter=errors-only --type=public
gcloud compute routers nats update n --router=r --region=r1 --clear-min-ports-per-vm --clear-udp-idle-timeout \\
  --no-enable-endpoint-independent-mapping --nat-external-ip-pool=x,y --nat-external-drain-ip-pool=z --nat-all-subnet-ip-ranges
gcloud compute routers nats rules create 100 --nat=n --router=r --region=r1 \\
  --match='destination.ip == \"198.51.100.7\"' --source-nat-active-ips=x
";
    let expected = "\
routers {name: r, region: r1, network: vpc, bgp: {asn: 64512}, nats: [{name: n, type: PUBLIC, \
natIpAllocateOption: MANUAL_ONLY, sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES, \
enableEndpointIndependentMapping: false, icmpIdleTimeoutSec: 60, tcpEstablishedIdleTimeoutSec: 1200, \
tcpTransitoryIdleTimeoutSec: 30, tcpTimeWaitTimeoutSec: 30, logConfig: {enable: true, filter: ERRORS_ONLY}, natIps: [x, y], \
drainNatIps: [z], rules: [{ruleNumber: 100, match: destination.ip == \"198.51.100.7\", action: {sourceNatActiveIps: [x]}}]}]}
";
    assert_eq!(clean(text), expected);
}

#[test]
fn subnets_of_a_gateway_are_lists_of_ranges() {
    let text = "gcloud compute routers nats create n --router=r --region=r1 --auto-allocate-nat-external-ips --nat-custom-subnet-ip-ranges=a,b:pods,b:more,c:ALL\n";
    let expected = "subnetworks: [{name: a, sourceIpRangesToNat: [PRIMARY_IP_RANGE]}, {name: b, sourceIpRangesToNat: \
[LIST_OF_SECONDARY_IP_RANGES], secondaryIpRangeNames: [pods, more]}, {name: c, sourceIpRangesToNat: [ALL_IP_RANGES]}]";
    assert!(clean(text).contains(expected), "{}", clean(text));
}

#[test]
fn addresses() {
    let text = "\
gcloud compute addresses create a b --region=r1 --addresses=203.0.113.1,203.0.113.2 --network-tier=standard
gcloud compute addresses create psa --global --purpose=VPC_PEERING --prefix-length=16 --network=vpc
gcloud services vpc-peerings connect --service=servicenetworking.googleapis.com --ranges=psa --network=vpc
";
    let expected = "\
addresses {name: a, region: r1, address: 203.0.113.1, addressType: EXTERNAL, networkTier: STANDARD}
addresses {name: b, region: r1, address: 203.0.113.2, addressType: EXTERNAL, networkTier: STANDARD}
addresses {name: psa, purpose: VPC_PEERING, addressType: INTERNAL, prefixLength: 16, network: vpc}
networks {name: vpc, peerings: [{name: servicenetworking-googleapis-com, network: servicenetworking}]}
";
    assert_eq!(clean(text), expected);
}

#[test]
fn firewall_rules_and_policies() {
    let text = "\
gcloud compute firewall-rules create in --network=vpc --allow=tcp:80,tcp:8000-9000,icmp --source-ranges=10.0.0.0/8,192.0.2.0/24 --target-tags=web
gcloud compute firewall-rules create out --direction=egress --action=deny --rules=all --destination-ranges=0.0.0.0/0 --priority=900 --enable-logging
gcloud compute firewall-rules update out --disabled --rules=tcp:443
gcloud compute network-firewall-policies create p --global
gcloud compute network-firewall-policies rules create 100 --firewall-policy=p --global-firewall-policy --action=allow \\
  --direction=EGRESS --layer4-configs=tcp:443 --dest-ip-ranges=198.51.100.0/24
gcloud compute network-firewall-policies associations create --firewall-policy=p --network=vpc --global-firewall-policy
";
    let expected = "\
firewalls {name: in, network: vpc, allowed: [{IPProtocol: tcp, ports: [80]}, {IPProtocol: tcp, ports: [8000-9000]}, \
{IPProtocol: icmp}], sourceRanges: [10.0.0.0/8, 192.0.2.0/24], targetTags: [web]}
firewalls {name: out, network: default, direction: EGRESS, denied: [{IPProtocol: tcp, ports: [443]}], priority: 900, \
destinationRanges: [0.0.0.0/0], logConfig: {enable: true}, disabled: true}
firewallPolicies {name: p, rules: [{priority: 100, action: allow, direction: EGRESS, match: {destIpRanges: [198.51.100.0/24], \
layer4Configs: [{ipProtocol: tcp, ports: [443]}]}}], associations: [{attachmentTarget: vpc}]}
";
    assert_eq!(clean(text), expected);
}

#[test]
fn routes() {
    let text = "\
gcloud compute routes create a --network=vpc --destination-range=0.0.0.0/0 --next-hop-gateway=default-internet-gateway --tags=nat,b
gcloud compute routes create b --network=vpc --destination-range=10.9.0.0/16 --next-hop-instance=vm --next-hop-instance-zone=z-a
gcloud compute routes create c --network=vpc --destination-range=10.9.0.0/16 --next-hop-ilb=10.0.0.9 --priority=800
gcloud network-connectivity policy-based-routes create d --network=vpc --source-range=10.0.0.0/24 --next-hop-ilb-ip=10.0.0.9 \\
  --protocol-version=IPv4 --tags=run
";
    let expected = "\
routes {name: a, network: vpc, destRange: 0.0.0.0/0, tags: [nat, b], nextHopGateway: default-internet-gateway}
routes {name: b, network: vpc, destRange: 10.9.0.0/16, nextHopInstance: zones/z-a/instances/vm}
routes {name: c, network: vpc, destRange: 10.9.0.0/16, priority: 800, nextHopIlb: 10.0.0.9}
policyBasedRoutes {name: d, network: vpc, filter: {srcRange: 10.0.0.0/24, protocolVersion: IPV4}, nextHopIlbIp: 10.0.0.9, \
virtualMachine: {tags: [run]}}
";
    assert_eq!(clean(text), expected);
}

#[test]
fn machines() {
    let text = "\
gcloud compute instances create vm --zone=r1-a --network=vpc --subnet=s --no-address --private-network-ip=10.0.0.9 --tags=a,b
gcloud compute instances create two --zone=r1-a --network-interface=network=vpc,subnet=s,no-address --network-interface=subnet=t
gcloud compute instances add-tags vm --zone=r1-a --tags=c
";
    let expected = "\
instances {name: vm, zone: r1-a, networkInterfaces: [{network: vpc, subnetwork: s, networkIP: 10.0.0.9}], tags: {items: [a, b, c]}}
instances {name: two, zone: r1-a, networkInterfaces: [{network: vpc, subnetwork: s}, {subnetwork: t, accessConfigs: [{}]}]}
";
    assert_eq!(clean(text), expected);
}

#[test]
fn peerings() {
    let text = "\
gcloud compute networks peerings create p --network=vpc --peer-network=hub --peer-project=other --export-custom-routes
gcloud compute networks peerings update p --network=vpc --no-export-custom-routes --import-custom-routes
";
    let expected = "networks {name: vpc, peerings: [{name: p, network: projects/other/global/networks/hub, \
exportCustomRoutes: false, importCustomRoutes: true}]}\n";
    assert_eq!(clean(text), expected);
}

#[test]
fn workloads() {
    let text = "\
gcloud run deploy api --region=r1 --image=i --vpc-connector=c --vpc-egress=all --min-instances=1 --max-instances=9 \\
  --concurrency=80 --cpu=2 --service-account=a@p.iam.gserviceaccount.com --min=2 --no-allow-unauthenticated
gcloud run services update api --region=r1 --vpc-egress=private-ranges-only --max-instances=default
gcloud run jobs create batch --region=r1 --image=i --tasks=10 --parallelism=5 --network=vpc --subnet=s --network-tags=a,b
gcloud run jobs execute batch --region=r1 --wait
gcloud run worker-pools deploy pool --region=r1 --image=i --instances=3 --network=vpc --subnet=s
gcloud functions deploy fn --region=r1 --runtime=nodejs22 --trigger-http --vpc-connector=c --egress-settings=all --no-gen2
";
    let expected = "\
services {name: api, region: r1, template: {vpcAccess: {connector: c, egress: PRIVATE_RANGES_ONLY}, serviceAccount: \
a@p.iam.gserviceaccount.com, containers: [{resources: {limits: {cpu: 2}}}], scaling: {minInstanceCount: 1}, \
maxInstanceRequestConcurrency: 80}, scaling: {minInstanceCount: 2}}
jobs {name: batch, region: r1, template: {taskCount: 10, parallelism: 5, template: {vpcAccess: {networkInterfaces: \
[{network: vpc, subnetwork: s, tags: [a, b]}]}}}}
workerPools {name: pool, region: r1, template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: s}]}}, \
scaling: {scalingMode: MANUAL, manualInstanceCount: 3}}
functions {name: fn, region: r1, environment: GEN_1, serviceConfig: {vpcConnector: c, vpcConnectorEgressSettings: ALL_TRAFFIC}}
";
    // The order of a template's fields means nothing.
    let sorted = |text: &str| -> Vec<Vec<char>> {
        text.lines()
            .map(|line| {
                let mut characters: Vec<char> = line.chars().collect();
                characters.sort_unstable();
                characters
            })
            .collect()
    };
    let found = clean(text);
    assert_eq!(sorted(&found), sorted(expected), "{found}");
}

#[test]
fn traffic_waits_for_a_revision_without_any() {
    let text = "\
gcloud run deploy api --region=r1 --image=i --vpc-connector=c
gcloud run deploy api --region=r1 --image=i --no-traffic --vpc-egress=all-traffic
";
    expect(text, &[("no-traffic", "--no-traffic")]);
    assert!(!resources(&run(text)).contains("ALL_TRAFFIC"));
    let text = format!("{text}gcloud run services update-traffic api --region=r1 --to-latest\n");
    let found = resources(&run(&text));
    assert!(found.contains("ALL_TRAFFIC") && found.contains("TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"), "{found}");
}

#[test]
fn a_connector_and_a_network_exclude_each_other() {
    expect("gcloud run deploy api --region=r1 --vpc-connector=c --network=vpc\n", &[("invalid-flags", "--network")]);
    let text = "\
gcloud run deploy api --region=r1 --vpc-connector=c --vpc-egress=all-traffic
gcloud run deploy api --region=r1 --network=vpc --subnet=s
";
    expect(text, &[("connector-and-network", "--network")]);
    let text = "\
gcloud run deploy api --region=r1 --vpc-connector=c
gcloud run services update api --region=r1 --clear-vpc-connector --network=vpc --subnet=s
gcloud run services update api --region=r1 --vpc-egress=all-traffic
";
    assert_eq!(
        clean(text),
        "services {name: api, region: r1, template: {vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: s}], egress: ALL_TRAFFIC}}}\n"
    );
}

#[test]
fn an_egress_setting_goes_with_the_connector_that_is_cleared() {
    let text = "\
gcloud run deploy api --region=r1 --vpc-connector=c
gcloud run services update api --region=r1 --clear-vpc-connector --network=vpc --subnet=s --vpc-egress=all-traffic
";
    expect(text, &[("egress-cleared", "all-traffic")]);
    assert!(!resources(&run(text)).contains("egress"));
    expect("gcloud run deploy api --region=r1 --vpc-egress=all\n", &[("egress-without-vpc", "all")]);
}

#[test]
fn what_exists_cannot_be_created_again() {
    expect(&with_net(NET), &[("already-exists", "vpc")]);
    let text = "\
gcloud compute routers create r --network=v --region=r1
gcloud compute routers create r --network=v --region=r2
gcloud compute routers nats create n --router=r --region=r1 --auto-allocate-nat-external-ips --nat-all-subnet-ip-ranges
gcloud compute routers nats create n --router=r --region=r1 --auto-allocate-nat-external-ips --nat-all-subnet-ip-ranges
gcloud run jobs create j --region=r1 --image=i
gcloud run jobs create j --region=r1 --image=i
";
    expect(text, &[("already-exists", "n"), ("already-exists", "j")]);
}

#[test]
fn what_a_script_sets_up_itself_must_be_created_before_it_is_used() {
    let twice = "gcloud run deploy a --region=r1 --network=vpc --subnet=s\ngcloud run deploy b --region=r1 --network=vpc --subnet=s\n";
    expect(&with_net(twice), &[("not-found", "s")]);
    expect(&with_net("gcloud run deploy a --region=r1 --vpc-connector=c\n"), &[("not-found", "c")]);
    let nat = "gcloud compute routers nats create n --router=r --region=r1 --nat-external-ip-pool=x --nat-all-subnet-ip-ranges\n";
    expect(&with_net(nat), &[("not-found", "r"), ("not-found", "x")]);
    // Only the network: the subnet would have to have its name.
    expect(&with_net("gcloud run deploy a --region=r1 --network=vpc\n"), &[("not-found", "vpc")]);
    // Too late.
    let late = "gcloud compute routers create r --network=vpc --region=r1\ngcloud compute networks create vpc --subnet-mode=custom\n";
    expect(late, &[("not-found", "vpc")]);
}

#[test]
fn what_may_have_been_there_before_is_presumed() {
    clean("gcloud run deploy a --region=r1 --network=vpc --subnet=s --vpc-egress=all-traffic\n");
    clean("gcloud run deploy a --region=r1 --network=default\n");
    clean("gcloud compute routers nats update n --router=r --region=r1 --enable-logging\n");
    clean("gcloud compute networks create auto\ngcloud run deploy a --region=r1 --network=auto\n");
    let shared = "gcloud run deploy a --region=r1 --network=projects/host/global/networks/n --subnet=projects/host/regions/r1/subnetworks/s\n";
    clean(&with_net(shared));
    clean(&with_net("gcloud run services update a --region=r1 --max-instances=3\n"));
}

#[test]
fn ranges_of_a_network_do_not_overlap() {
    let subnet = |name: &str, network: &str, range: &str| {
        format!("gcloud compute networks subnets create {name} --network={network} --region=r1 --range={range}\n")
    };
    let fine = subnet("a", "x", "10.0.0.0/24") + &subnet("b", "y", "10.0.0.0/24") + &subnet("c", "x", "10.0.1.0/24");
    clean(&fine);
    expect(&(fine.clone() + &subnet("d", "x", "10.0.0.0/16")), &[("overlapping-ranges", "10.0.0.0/16")]);
    let connector =
        "gcloud compute networks vpc-access connectors create k --network=x --region=r1 --range=10.0.1.16/28\n";
    expect(&(fine + connector), &[("overlapping-ranges", "10.0.1.16/28")]);
}

#[test]
fn flags_that_gcloud_refuses_are_refused() {
    let nat = "gcloud compute routers nats create n --router=r --region=r1";
    let whole = "gcloud compute routers nats create";
    expect(
        &format!("{nat} --auto-allocate-nat-external-ips --nat-external-ip-pool=x --nat-all-subnet-ip-ranges\n"),
        &[("invalid-flags", "--nat-external-ip-pool")],
    );
    expect(&format!("{nat} --nat-all-subnet-ip-ranges\n"), &[("invalid-flags", whole)]);
    expect(&format!("{nat} --auto-allocate-nat-external-ips\n"), &[("invalid-flags", whole)]);
    expect("gcloud compute networks create\n", &[("invalid-flags", "gcloud compute networks create")]);
    expect("gcloud compute networks create a b\n", &[("invalid-flags", "b")]);
    expect(
        "gcloud compute networks vpc-access connectors create c --region=r1 --subnet=s --range=10.0.0.0/28\n",
        &[("invalid-flags", "--range")],
    );
    expect(
        "gcloud compute networks subnets create s --network=v --region=r1\n",
        &[("invalid-flags", "gcloud compute networks subnets create")],
    );
    expect(
        "gcloud compute routers nats update n --router=r --region=r1 --udp-idle-timeout=fast\n",
        &[("invalid-flags", "fast")],
    );
    expect("gcloud compute routers create r --region=r1 --network\n", &[("invalid-flags", "--network")]);
}

#[test]
fn a_region_is_missed_once() {
    let text = "gcloud run deploy a --image=i\ngcloud run deploy b --image=i\n";
    expect(text, &[("no-region", "gcloud run deploy")]);
}

#[test]
fn what_is_used_cannot_be_deleted() {
    let text = with_net(
        "gcloud compute addresses create x --region=r1\n\
         gcloud compute routers create r --network=vpc --region=r1\n\
         gcloud compute routers nats create n --router=r --region=r1 --nat-external-ip-pool=x --nat-all-subnet-ip-ranges\n\
         gcloud compute addresses delete x --region=r1\n\
         gcloud compute networks delete vpc\n",
    );
    expect(&text, &[("in-use", "x"), ("in-use", "vpc")]);
    let import = run(&text);
    assert_eq!(import.resources.len(), 3, "{}", findings(&import));
}
