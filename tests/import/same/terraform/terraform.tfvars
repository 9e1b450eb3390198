project = "shop-prod"
region  = "us-central1"
