#!/usr/bin/env python3
"""Writes the machine-made descriptions of the network `shop`: what gcloud, Cloud Asset Inventory and Terraform would print.

main.tf, setup.sh and services.yaml beside it say the same by hand. Run it in this folder; it needs nothing but Python.
"""

import json

COMPUTE = "https://www.googleapis.com/compute/v1/projects/shop-prod"
REGION = "us-central1"
AT = "2026-10-05T09:00:00.000-07:00"


def link(path):
    return f"{COMPUTE}/{path}"


def compute(kind, number, path, **fields):
    return {"kind": f"compute#{kind}", "id": str(4711000 + number), "creationTimestamp": AT,
            "name": path.rsplit("/", 1)[1], "selfLink": link(path), **fields}


NETWORK = link("global/networks/shop")
networks = [compute("network", 1, "global/networks/shop", autoCreateSubnetworks=False, mtu=1460,
                    networkFirewallPolicyEnforcementOrder="AFTER_CLASSIC_FIREWALL",
                    routingConfig={"routingMode": "REGIONAL"},
                    subnetworks=[link(f"regions/{REGION}/subnetworks/{name}") for name in ("shop-apps", "shop-connector")])]


def subnet(number, name, cidr, access):
    return compute("subnetwork", number, f"regions/{REGION}/subnetworks/{name}", network=NETWORK,
                   region=link(f"regions/{REGION}"), ipCidrRange=cidr, gatewayAddress=cidr.rsplit(".", 1)[0] + ".1",
                   privateIpGoogleAccess=access, privateIpv6GoogleAccess="DISABLE_GOOGLE_ACCESS", purpose="PRIVATE",
                   stackType="IPV4_ONLY", fingerprint="8wBf2kTt3OQ=", logConfig={"enable": False})


subnets = [subnet(2, "shop-apps", "10.20.0.0/24", True), subnet(3, "shop-connector", "10.20.1.0/28", False)]

routes = [
    compute("route", 4, "global/routes/default-route-6d1c2f", network=NETWORK, destRange="0.0.0.0/0", priority=1000,
            nextHopGateway=link("global/gateways/default-internet-gateway"),
            description="Default route to the Internet."),
    compute("route", 5, "global/routes/default-route-r-aa01", network=NETWORK, destRange="10.20.0.0/24", priority=0,
            nextHopNetwork=NETWORK, description="Default local route to the subnetwork 10.20.0.0/24."),
    compute("route", 6, "global/routes/default-route-r-aa02", network=NETWORK, destRange="10.20.1.0/28", priority=0,
            nextHopNetwork=NETWORK, description="Default local route to the subnetwork 10.20.1.0/28."),
    compute("route", 7, "global/routes/shop-partner", network=NETWORK, destRange="198.51.100.0/24", priority=500,
            tags=["egress"], nextHopGateway=link("global/gateways/default-internet-gateway"), description=""),
]

firewalls = [
    compute("firewall", 8, "global/firewalls/shop-deny-egress", network=NETWORK, direction="EGRESS", priority=65000,
            destinationRanges=["0.0.0.0/0"], denied=[{"IPProtocol": "all"}], disabled=False, logConfig={"enable": False}),
    compute("firewall", 9, "global/firewalls/shop-allow-partner", network=NETWORK, direction="EGRESS", priority=900,
            destinationRanges=["198.51.100.7/32"], allowed=[{"IPProtocol": "tcp", "ports": ["443"]}], disabled=False,
            logConfig={"enable": False}),
]

# The value is the one that egressim gives an address without a value: configuration by hand cannot say it.
addresses = [compute("address", 10, f"regions/{REGION}/addresses/shop-nat-1", address="203.0.113.10",
                     addressType="EXTERNAL", networkTier="PREMIUM", status="IN_USE", region=link(f"regions/{REGION}"),
                     users=[link(f"regions/{REGION}/routers/shop-router")])]

nat = {"name": "shop-nat", "type": "PUBLIC", "endpointTypes": ["ENDPOINT_TYPE_VM"], "natIpAllocateOption": "MANUAL_ONLY",
       "natIps": [link(f"regions/{REGION}/addresses/shop-nat-1")], "autoNetworkTier": "PREMIUM",
       "sourceSubnetworkIpRangesToNat": "LIST_OF_SUBNETWORKS",
       "subnetworks": [{"name": link(f"regions/{REGION}/subnetworks/{name}"), "sourceIpRangesToNat": ["ALL_IP_RANGES"]}
                       for name in ("shop-apps", "shop-connector")],
       "enableDynamicPortAllocation": True, "minPortsPerVm": 64, "maxPortsPerVm": 1024, "tcpTimeWaitTimeoutSec": 60,
       "logConfig": {"enable": True, "filter": "ERRORS_ONLY"}, "enableEndpointIndependentMapping": False}
routers = [compute("router", 11, f"regions/{REGION}/routers/shop-router", network=NETWORK,
                   region=link(f"regions/{REGION}"), nats=[nat], encryptedInterconnectRouter=False)]

HOME = f"projects/shop-prod/locations/{REGION}"
connectors = [{"name": f"{HOME}/connectors/shop-conn", "subnet": {"name": "shop-connector", "projectId": "shop-prod"},
               "machineType": "e2-micro", "minInstances": 2, "maxInstances": 4, "minThroughput": 200,
               "maxThroughput": 400, "state": "READY", "connectedProjects": ["shop-prod"]}]

BUILD = {"image": "us-docker.pkg.dev/shop-prod/shop/api:7",
         "env": [{"name": "PARTNER_TOKEN", "value": "not-for-your-eyes"}], "resources": {"limits": {"cpu": "1000m"}}}
READY = {"type": "Ready", "state": "CONDITION_SUCCEEDED"}
services = [
    {"name": f"{HOME}/services/shop-api", "uid": "0a1b", "generation": "3", "ingress": "INGRESS_TRAFFIC_ALL",
     "launchStage": "GA", "terminalCondition": READY,
     "template": {"scaling": {"minInstanceCount": 1, "maxInstanceCount": 20}, "maxInstanceRequestConcurrency": 40,
                  "containers": [BUILD],
                  "vpcAccess": {"connector": f"{HOME}/connectors/shop-conn", "egress": "ALL_TRAFFIC"}}},
    {"name": f"{HOME}/services/shop-web", "uid": "0a1c", "generation": "1", "ingress": "INGRESS_TRAFFIC_ALL",
     "launchStage": "GA", "terminalCondition": READY,
     "template": {"scaling": {"maxInstanceCount": 20}, "maxInstanceRequestConcurrency": 80, "containers": [BUILD],
                  "vpcAccess": {"networkInterfaces": [{"network": "shop", "subnetwork": "shop-apps", "tags": ["egress"]}],
                                "egress": "ALL_TRAFFIC"}}},
]
jobs = [{"name": f"{HOME}/jobs/shop-batch", "uid": "0a1d", "terminalCondition": READY,
         "template": {"parallelism": 2, "taskCount": 4, "template": {
             "maxRetries": 3, "containers": [BUILD],
             "vpcAccess": {"networkInterfaces": [{"network": "shop", "subnetwork": "shop-apps"}],
                           "egress": "PRIVATE_RANGES_ONLY"}}}}]


def write(name, value):
    with open(name, "w") as out:
        json.dump(value, out, indent=2)
        out.write("\n")


# What gcloud and the REST APIs print: lists as arrays, with items, aggregated, by name.
write("gcloud/networks.json", networks)
write("gcloud/subnetworks.json", {"kind": "compute#subnetworkAggregatedList", "items": {
    f"regions/{REGION}": {"subnetworks": subnets},
    "regions/europe-west1": {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "There are no results.", "data": []}}}})
write("gcloud/routes.json", {"kind": "compute#routeList", "items": routes})
write("gcloud/firewalls.json", firewalls)
write("gcloud/addresses.json", addresses)
write("gcloud/router.json", routers[0])
write("gcloud/connectors.json", {"connectors": connectors})
write("gcloud/services.json", {"services": services})
write("gcloud/job.json", jobs[0])

# Cloud Asset Inventory, as gcloud prints it, and with the keys of exports.
with open("assets.jsonl", "w") as out:
    def asset(kind, path, data, snake):
        service = kind.split("/")[0]
        entry = {"name": f"//{service}/{path}", "assetType": kind, "ancestors": ["projects/1", "organizations/2"],
                 "resource": {"version": "v1", "discoveryName": kind.split("/")[1], "data": data}, "updateTime": AT}
        if snake:
            entry["asset_type"] = entry.pop("assetType")
            entry["update_time"] = entry.pop("updateTime")
            entry["resource"]["discovery_name"] = entry["resource"].pop("discoveryName")
        out.write(json.dumps(entry) + "\n")

    for word, kind, items in [("networks", "Network", networks), ("subnetworks", "Subnetwork", subnets),
                              ("routes", "Route", routes), ("firewalls", "Firewall", firewalls),
                              ("addresses", "Address", addresses), ("routers", "Router", routers)]:
        for number, item in enumerate(items):
            asset(f"compute.googleapis.com/{kind}", item["selfLink"].split("/v1/")[1], item, number % 2 == 1)
    asset("vpcaccess.googleapis.com/Connector", connectors[0]["name"], connectors[0], False)
    for item in services:
        asset("run.googleapis.com/Service", item["name"], item, True)
    asset("run.googleapis.com/Job", jobs[0]["name"], jobs[0], False)
    asset("storage.googleapis.com/Bucket", "shop-assets", {"name": "shop-assets"}, False)

# Terraform: what the provider calls the same things. References to what does not exist yet are unknown in a plan.
blocks = {
    "google_compute_network.shop": {"name": "shop", "auto_create_subnetworks": False,
                                    "delete_default_routes_on_create": False, "mtu": 0, "project": "shop-prod"},
    "google_compute_subnetwork.apps": {"name": "shop-apps", "ip_cidr_range": "10.20.0.0/24", "region": REGION,
                                       "private_ip_google_access": True, "network": "=google_compute_network.shop.id"},
    "google_compute_subnetwork.connector": {"name": "shop-connector", "ip_cidr_range": "10.20.1.0/28", "region": REGION,
                                            "private_ip_google_access": False,
                                            "network": "=google_compute_network.shop.id"},
    "google_vpc_access_connector.conn": {"name": "shop-conn", "region": REGION, "machine_type": "e2-micro",
                                         "min_instances": 2, "max_instances": 4, "min_throughput": 200,
                                         "max_throughput": 300, "network": None, "ip_cidr_range": None,
                                         "subnet": [{"name": "=google_compute_subnetwork.connector.name"}]},
    "google_compute_route.partner": {"name": "shop-partner", "dest_range": "198.51.100.0/24", "priority": 500,
                                     "tags": ["egress"], "next_hop_gateway": "default-internet-gateway",
                                     "network": "=google_compute_network.shop.name"},
    "google_compute_firewall.deny": {"name": "shop-deny-egress", "direction": "EGRESS", "priority": 65000,
                                     "destination_ranges": ["0.0.0.0/0"], "deny": [{"protocol": "all", "ports": []}],
                                     "allow": [], "disabled": None, "network": "=google_compute_network.shop.name"},
    "google_compute_firewall.partner": {"name": "shop-allow-partner", "direction": "EGRESS", "priority": 900,
                                        "destination_ranges": ["198.51.100.7/32"], "deny": [],
                                        "allow": [{"protocol": "tcp", "ports": ["443"]}], "disabled": None,
                                        "network": "=google_compute_network.shop.name"},
    "google_compute_address.nat": {"name": "shop-nat-1", "region": REGION, "address_type": "EXTERNAL"},
    "google_compute_router.router": {"name": "shop-router", "region": REGION, "bgp": [],
                                     "network": "=google_compute_network.shop.id"},
    "google_compute_router_nat.nat": {
        "name": "shop-nat", "region": REGION, "router": "=google_compute_router.router.name",
        "nat_ip_allocate_option": "MANUAL_ONLY", "nat_ips": "=google_compute_address.nat.self_link",
        "source_subnetwork_ip_ranges_to_nat": "LIST_OF_SUBNETWORKS", "drain_nat_ips": None, "rules": [],
        "subnetwork": [
            {"name": "=google_compute_subnetwork.apps.id", "source_ip_ranges_to_nat": ["ALL_IP_RANGES"],
             "secondary_ip_range_names": []},
            {"name": "=google_compute_subnetwork.connector.id", "source_ip_ranges_to_nat": ["ALL_IP_RANGES"],
             "secondary_ip_range_names": []}],
        "enable_dynamic_port_allocation": True, "min_ports_per_vm": 64, "max_ports_per_vm": 1024,
        "udp_idle_timeout_sec": 30, "icmp_idle_timeout_sec": 30, "tcp_established_idle_timeout_sec": 1200,
        "tcp_transitory_idle_timeout_sec": 30, "tcp_time_wait_timeout_sec": 60,
        "log_config": [{"enable": True, "filter": "ERRORS_ONLY"}]},
}


def run(name, vpc_access, scaling, concurrency):
    return {"name": name, "location": REGION, "ingress": "INGRESS_TRAFFIC_ALL",
            "template": [{"scaling": scaling, "max_instance_request_concurrency": concurrency,
                          "containers": [{"image": BUILD["image"], "env": BUILD["env"],
                                          "resources": [{"limits": {"cpu": "1000m"}}]}],
                          "vpc_access": [vpc_access]}]}


INTERFACE = {"network": "=google_compute_network.shop.name", "subnetwork": "=google_compute_subnetwork.apps.name"}
blocks["google_cloud_run_v2_service.api"] = run(
    "shop-api", {"connector": "=google_vpc_access_connector.conn.id", "egress": "ALL_TRAFFIC", "network_interfaces": []},
    [{"min_instance_count": 1, "max_instance_count": 20}], 40)
blocks["google_cloud_run_v2_service.web"] = run(
    "shop-web", {"connector": None, "egress": "ALL_TRAFFIC", "network_interfaces": [{**INTERFACE, "tags": ["egress"]}]},
    [{"min_instance_count": 0, "max_instance_count": 20}], 80)
blocks["google_cloud_run_v2_job.batch"] = {
    "name": "shop-batch", "location": REGION,
    "template": [{"parallelism": 2, "task_count": 4, "template": [{
        "max_retries": 3, "containers": [{"image": BUILD["image"], "env": BUILD["env"],
                                          "resources": [{"limits": {"cpu": "1000m"}}]}],
        "vpc_access": [{"connector": None, "egress": "PRIVATE_RANGES_ONLY",
                        "network_interfaces": [{**INTERFACE, "tags": None}]}]}]}]}

IDS = {"google_compute_network": "projects/shop-prod/global/networks/{}",
       "google_compute_subnetwork": f"projects/shop-prod/regions/{REGION}/subnetworks/{{}}",
       "google_compute_address": f"{COMPUTE}/regions/{REGION}/addresses/{{}}",
       "google_vpc_access_connector": f"projects/shop-prod/locations/{REGION}/connectors/{{}}"}


def known(value):
    """A value once everything exists."""
    if isinstance(value, str) and value.startswith("="):
        kind, name, attribute = value[1:].split(".")
        real = blocks[f"{kind}.{name}"]["name"]
        real = real if attribute == "name" else IDS[kind].format(real)
        return [real] if attribute == "self_link" else real
    if isinstance(value, list):
        return [known(item) for item in value]
    if isinstance(value, dict):
        return {key: known(item) for key, item in value.items()}
    return value


def planned(value):
    """A value of a plan, what is unknown in it, and the expression that it comes from."""
    if isinstance(value, str) and value.startswith("="):
        kind, name, attribute = value[1:].split(".")
        references = {"references": [value[1:], f"{kind}.{name}"]}
        # The name is in the configuration; ids come with the creation.
        if attribute == "name":
            return blocks[f"{kind}.{name}"]["name"], False, references
        return None, True, references
    if isinstance(value, list) and value and isinstance(value[0], dict):
        parts = [planned(item) for item in value]
        return [part[0] for part in parts], [part[1] for part in parts], [part[2] for part in parts]
    if isinstance(value, dict):
        values, unknown, expressions = {}, {}, {}
        for key, item in value.items():
            values[key], unknown[key], expressions[key] = planned(item)
            if unknown[key] is True:
                del values[key]
            if unknown[key] is False or unknown[key] == {}:
                del unknown[key]
            if item is None or item == []:
                del expressions[key]
        return values, unknown, expressions
    return value, False, {"constant_value": value}


resources, changes, configuration = [], [], []
for address, block in blocks.items():
    kind, name = address.split(".")
    values, unknown, expressions = planned(block)
    about = {"address": address, "mode": "managed", "type": kind, "name": name}
    provider = "registry.terraform.io/hashicorp/google"
    resources.append({**about, "provider_name": provider, "schema_version": 0, "values": values, "sensitive_values": {}})
    changes.append({**about, "provider_name": provider, "change": {
        "actions": ["create"], "before": None, "after": values, "after_unknown": {"id": True, **unknown},
        "before_sensitive": False, "after_sensitive": {}}})
    configuration.append({**about, "provider_config_key": "google", "expressions": expressions, "schema_version": 0})
write("plan.json", {
    "format_version": "1.2", "terraform_version": "1.13.4",
    "variables": {"project": {"value": "shop-prod"}},
    "planned_values": {"root_module": {"resources": resources}},
    "resource_changes": changes,
    "configuration": {"provider_config": {"google": {"name": "google", "full_name": "registry.terraform.io/hashicorp/google",
                                                     "expressions": {"project": {"references": ["var.project"]}}}},
                      "root_module": {"resources": configuration, "variables": {"project": {}}}},
    "timestamp": "2026-10-05T16:00:00Z", "applyable": True, "complete": True, "errored": False})

existing = [{"address": address, "mode": "managed", "type": address.split(".")[0], "name": address.split(".")[1],
             "provider_name": "registry.terraform.io/hashicorp/google", "schema_version": 0, "values": known(block)}
            for address, block in blocks.items()]
existing[7]["values"]["address"] = "203.0.113.10"
existing[0]["values"]["mtu"] = 1460
write("state.json", {"format_version": "1.0", "terraform_version": "1.13.4",
                     "values": {"root_module": {"resources": existing}}})
write("raw.tfstate", {
    "version": 4, "terraform_version": "1.13.4", "serial": 12, "lineage": "6a3a9b1e-5a55-4be0-9a9b-0c5f1d7f0001", "outputs": {},
    "resources": [{"mode": "managed", "type": item["type"], "name": item["name"],
                   "provider": 'provider["registry.terraform.io/hashicorp/google"]',
                   "instances": [{"schema_version": 0, "attributes": item["values"], "sensitive_attributes": []}]}
                  for item in existing], "check_results": None})
