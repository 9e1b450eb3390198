#!/usr/bin/env bash
# The network `shop`, as a person makes it.
set -euo pipefail

PROJECT=${PROJECT:-shop-prod}
REGION=us-central1
gcloud config set project "$PROJECT"
gcloud config set run/region $REGION

gcloud compute networks create shop --subnet-mode=custom
gcloud compute networks subnets create shop-apps --network=shop --region=$REGION \
    --range=10.20.0.0/24 --enable-private-ip-google-access
gcloud compute networks subnets create shop-connector --network=shop --region=$REGION --range=10.20.1.0/28
gcloud compute networks vpc-access connectors create shop-conn \
    --region="$REGION" --subnet shop-connector --subnet-project "$PROJECT" \
    --machine-type=e2-micro --min-instances=2 --max-instances=4

gcloud compute routes create shop-partner --network=shop --destination-range=198.51.100.0/24 \
    --priority=500 --tags=egress --next-hop-gateway=default-internet-gateway
gcloud compute firewall-rules create shop-deny-egress --network=shop --direction=EGRESS \
    --action=DENY --rules=all --destination-ranges=0.0.0.0/0 --priority=65000
gcloud compute firewall-rules create shop-allow-partner --network=shop --direction=EGRESS \
    --action=ALLOW --rules=tcp:443 --destination-ranges=198.51.100.7/32 --priority=900

gcloud compute addresses create shop-nat-1 --region=$REGION
gcloud compute routers create shop-router --network=shop --region=$REGION
gcloud compute routers nats create shop-nat --router=shop-router --region=$REGION \
    --nat-external-ip-pool=shop-nat-1 --nat-custom-subnet-ip-ranges=shop-apps:ALL,shop-connector:ALL \
    --enable-dynamic-port-allocation --min-ports-per-vm=64 --max-ports-per-vm=512 --tcp-time-wait-timeout=60s
gcloud compute routers nats update shop-nat --router=shop-router --region=$REGION \
    --max-ports-per-vm=1024 --enable-logging --log-filter=ERRORS_ONLY

IMAGE=us-docker.pkg.dev/$PROJECT/shop/api:7
gcloud run deploy shop-api --image=$IMAGE --vpc-connector=shop-conn --vpc-egress=all-traffic \
    --min-instances=1 --max-instances=20 --concurrency=40 --cpu=1000m --set-env-vars=PARTNER_TOKEN=not-for-your-eyes
gcloud run deploy shop-web --image=$IMAGE --network=shop --subnet=shop-apps --network-tags=egress \
    --vpc-egress=all-traffic --max-instances=20 --concurrency=80 --cpu=1
gcloud run jobs create shop-batch --image=$IMAGE --network=shop --subnet=shop-apps \
    --vpc-egress=private-ranges-only --parallelism=2 --tasks=4
