# The network `shop`, as a person writes it.

variable "region" {
  type    = string
  default = "europe-west1"
}

variable "project" {
  type = string
}

locals {
  prefix   = "shop"
  services = { api = 40, web = 80 }
}

provider "google" {
  project = var.project
  region  = var.region
}

resource "google_compute_network" "shop" {
  name                    = local.prefix
  auto_create_subnetworks = false
}

resource "google_compute_subnetwork" "this" {
  for_each = {
    apps      = { cidr = cidrsubnet("10.20.0.0/16", 8, 0), google = true }
    connector = { cidr = "10.20.1.0/28", google = false }
  }
  name                     = "${local.prefix}-${each.key}"
  ip_cidr_range            = each.value.cidr
  private_ip_google_access = each.value.google
  network                  = google_compute_network.shop.id
}

resource "google_vpc_access_connector" "conn" {
  name          = "${local.prefix}-conn"
  min_instances = 2
  max_instances = 4
  subnet {
    name = google_compute_subnetwork.this["connector"].name
  }
}

resource "google_compute_route" "partner" {
  name             = "${local.prefix}-partner"
  network          = google_compute_network.shop.name
  dest_range       = "198.51.100.0/24"
  priority         = 500
  tags             = ["egress"]
  next_hop_gateway = "default-internet-gateway"
}

resource "google_compute_firewall" "deny" {
  name               = "${local.prefix}-deny-egress"
  network            = google_compute_network.shop.self_link
  direction          = "EGRESS"
  priority           = 65000
  destination_ranges = ["0.0.0.0/0"]
  deny {
    protocol = "all"
  }
}

resource "google_compute_firewall" "partner" {
  name               = "${local.prefix}-allow-partner"
  network            = google_compute_network.shop.self_link
  direction          = "EGRESS"
  priority           = 900
  destination_ranges = ["198.51.100.7/32"]
  allow {
    protocol = "tcp"
    ports    = [443]
  }
}

module "nat" {
  source  = "./nat"
  prefix  = local.prefix
  network = google_compute_network.shop.id
  region  = var.region
  subnets = values(google_compute_subnetwork.this)[*].id
  ips     = 1
}

resource "google_cloud_run_v2_service" "api" {
  name     = "${local.prefix}-api"
  location = var.region
  template {
    max_instance_request_concurrency = local.services.api
    scaling {
      min_instance_count = 1
      max_instance_count = 20
    }
    containers {
      image = "us-docker.pkg.dev/${var.project}/shop/api:7"
      env {
        name  = "PARTNER_TOKEN"
        value = "not-for-your-eyes"
      }
      resources {
        limits = { cpu = "1000m" }
      }
    }
    vpc_access {
      connector = google_vpc_access_connector.conn.id
      egress    = "ALL_TRAFFIC"
    }
  }
}

resource "google_cloud_run_v2_service" "web" {
  name     = "${local.prefix}-web"
  location = var.region
  template {
    max_instance_request_concurrency = local.services["web"]
    scaling {
      max_instance_count = 20
    }
    containers {
      image = "us-docker.pkg.dev/${var.project}/shop/api:7"
      resources {
        limits = { cpu = "1000m" }
      }
    }
    vpc_access {
      egress = "ALL_TRAFFIC"
      network_interfaces {
        network    = google_compute_network.shop.name
        subnetwork = google_compute_subnetwork.this["apps"].name
        tags       = ["egress"]
      }
    }
  }
}

resource "google_cloud_run_v2_job" "batch" {
  name     = "${local.prefix}-batch"
  location = var.region
  template {
    parallelism = 2
    task_count  = 4
    template {
      containers {
        image = "us-docker.pkg.dev/${var.project}/shop/api:7"
        resources {
          limits = { cpu = "1000m" }
        }
      }
      vpc_access {
        egress = "PRIVATE_RANGES_ONLY"
        network_interfaces {
          network    = google_compute_network.shop.name
          subnetwork = google_compute_subnetwork.this["apps"].name
        }
      }
    }
  }
}
