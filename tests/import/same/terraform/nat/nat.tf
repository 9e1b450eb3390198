variable "prefix" {}
variable "network" {}
variable "region" {}
variable "subnets" { type = list(string) }
variable "ips" { default = 2 }

resource "google_compute_address" "nat" {
  count  = var.ips
  name   = "${var.prefix}-nat-${count.index + 1}"
  region = var.region
}

resource "google_compute_router" "router" {
  name    = "${var.prefix}-router"
  network = var.network
  region  = var.region
}

resource "google_compute_router_nat" "nat" {
  name                               = "${var.prefix}-nat"
  router                             = google_compute_router.router.name
  region                             = var.region
  nat_ip_allocate_option             = "MANUAL_ONLY"
  nat_ips                            = google_compute_address.nat[*].self_link
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"
  dynamic "subnetwork" {
    for_each = var.subnets
    content {
      name                    = subnetwork.value
      source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
    }
  }
  enable_dynamic_port_allocation = true
  min_ports_per_vm               = 64
  max_ports_per_vm               = 1024
  tcp_time_wait_timeout_sec      = 60
  log_config {
    enable = true
    filter = "ERRORS_ONLY"
  }
}
