//! The commands that are read, with their arguments and flags
//! (<https://cloud.google.com/sdk/gcloud/reference>, and the beta and alpha groups).
//!
//! A flag with `=` takes a value, one without is a switch and may have `no-` before it. Flags that the simulator has no use
//! for are here, too: what is not here is a mistake to name.

/// Flags of every command.
pub(super) const GLOBAL: &str = "account= billing-project= configuration= flags-file= flatten= format= help \
    impersonate-service-account= access-token-file= log-http project= quiet trace-token= user-output-enabled verbosity= \
    authority-selector= capture-session-file= http-timeout= filter= limit= sort-by= page-size= uri";

/// Groups of flags that several commands share.
pub(super) const SHARED: &[(&str, &str)] = &[
    (
        "@subnet",
        "description= enable-flow-logs enable-private-ip-google-access external-ipv6-prefix= internal-ipv6-prefix= \
         ip-collection= ipv6-access-type= logging-aggregation-interval= logging-flow-sampling= logging-metadata= \
         logging-filter-expr= logging-metadata-fields= private-ipv6-google-access-type= purpose= role= stack-type= \
         private-ipv6-google-access-service-accounts= region=",
    ),
    (
        "@nat",
        "router= region= auto-allocate-nat-external-ips nat-external-ip-pool= auto-network-tier= \
         nat-all-subnet-ip-ranges nat-primary-subnet-ip-ranges nat-custom-subnet-ip-ranges= \
         nat64-all-v6-subnet-ip-ranges nat64-custom-v6-subnet-ip-ranges= min-ports-per-vm= max-ports-per-vm= \
         enable-dynamic-port-allocation enable-endpoint-independent-mapping udp-idle-timeout= icmp-idle-timeout= \
         tcp-established-idle-timeout= tcp-transitory-idle-timeout= tcp-time-wait-timeout= enable-logging log-filter= \
         rules= async",
    ),
    (
        "@router",
        "region= asn= advertisement-mode= set-advertisement-groups= set-advertisement-ranges= keepalive-interval= \
         bgp-identifier-range= async description=",
    ),
    (
        "@firewall",
        "description= destination-ranges= disabled enable-logging logging-metadata= priority= source-ranges= \
         source-service-accounts= source-tags= target-service-accounts= target-tags= allow= rules=",
    ),
    (
        "@policy-rule",
        "firewall-policy= global-firewall-policy firewall-policy-region= action= direction= description= disabled \
         enable-logging layer4-configs= src-ip-ranges= dest-ip-ranges= src-secure-tags= target-secure-tags= \
         target-service-accounts= src-region-codes= dest-region-codes= src-fqdns= dest-fqdns= src-address-groups= \
         dest-address-groups= src-threat-intelligence= dest-threat-intelligence= security-profile-group= tls-inspect \
         src-network-type= dest-network-type= src-network-scope= dest-network-scope= src-networks= src-network-context= \
         dest-network-context= target-type= priority= new-priority= organization=",
    ),
    (
        "@peering",
        "network= export-custom-routes import-custom-routes export-subnet-routes-with-public-ip \
         import-subnet-routes-with-public-ip stack-type= async update-strategy=",
    ),
    // Of `run`: what services, jobs and worker pools have in common.
    (
        "@run",
        "image= region= network= subnet= network-tags= clear-network clear-network-tags vpc-connector= \
         clear-vpc-connector vpc-egress= service-account= cpu= memory= command= args= async set-env-vars= update-env-vars= \
         remove-env-vars= clear-env-vars env-vars-file= set-secrets= update-secrets= remove-secrets= clear-secrets labels= \
         update-labels= remove-labels= clear-labels set-cloudsql-instances= add-cloudsql-instances= \
         remove-cloudsql-instances= clear-cloudsql-instances binary-authorization= clear-binary-authorization breakglass= \
         key= clear-key post-key-revocation-action-type= clear-post-key-revocation-action-type \
         encryption-key-shutdown-hours= clear-encryption-key-shutdown-hours platform= cluster= cluster-location= context= \
         kubeconfig= namespace= add-volume= remove-volume= clear-volumes add-volume-mount= remove-volume-mount= \
         clear-volume-mounts container= remove-containers= depends-on= gpu= gpu-type= gpu-zonal-redundancy \
         execution-environment= description= max-retries= source= no-build set-build-env-vars= update-build-env-vars= \
         remove-build-env-vars= clear-build-env-vars build-env-vars-file= build-service-account= clear-build-service-account \
         build-worker-pool= clear-build-worker-pool automatic-updates build-service-account= function= base-image= \
         clear-base-image delegate-builds build mesh= dry-run client-name= client-version= threat-detection \
         set-annotations= update-annotations= startup-probe= liveness-probe= readiness-probe= workdir= deploy-from-source",
    ),
    (
        "@service",
        "allow-unauthenticated ingress= port= timeout= concurrency= min-instances= max-instances= min= max= scaling= \
         traffic tag= revision-suffix= cpu-boost cpu-throttling session-affinity use-http2 default-url invoker-iam-check \
         iap domain= runtime= connectivity= set-custom-audiences= add-custom-audiences= remove-custom-audiences= \
         clear-custom-audiences set-config-maps= update-config-maps= deploy-health-check default= timezone= presets= \
         zonal-redundancy health-check service-min-instances= identity= identity-certificate regions= remove-tags= \
         update-tags= set-tags= clear-tags",
    ),
    (
        "@job",
        "tasks= parallelism= task-timeout= max-retries= execute-now wait delay-execution= priority-tier= \
         execution-environment= launch-stage=",
    ),
    ("@pool", "instances= scaling= min= max= min-instances= max-instances= revision-suffix= traffic promote"),
];

/// A command: its words, its arguments (`NAME`, `[NAME]`, `NAME...`), its flags.
pub(super) const COMMANDS: &[(&str, &str, &str)] = &[
    ("config set", "PROPERTY VALUE", "installation"),
    ("config unset", "PROPERTY", "installation"),
    (
        "compute networks create",
        "NAME",
        "bgp-best-path-selection-mode= bgp-bps-always-compare-med bgp-bps-inter-region-cost= bgp-routing-mode= description= \
         enable-ula-internal-ipv6 internal-ipv6-range= mtu= network-firewall-policy-enforcement-order= network-profile= \
         range= subnet-mode= mode= resource-manager-tags= delete-default-routes-on-create async",
    ),
    (
        "compute networks update",
        "NAME",
        "bgp-best-path-selection-mode= bgp-bps-always-compare-med bgp-bps-inter-region-cost= bgp-routing-mode= \
         enable-ula-internal-ipv6 internal-ipv6-range= mtu= network-firewall-policy-enforcement-order= \
         switch-to-custom-subnet-mode async description=",
    ),
    ("compute networks delete", "NAME...", "async"),
    (
        "compute networks subnets create",
        "NAME",
        "@subnet network= range= secondary-range= secondary-range-with-reserved-internal-range= reserved-internal-range= \
         allow-cidr-routes-overlap resolve-subnet-mask= resource-manager-tags= enable-l2 vlan=",
    ),
    (
        "compute networks subnets update",
        "NAME",
        "@subnet add-secondary-ranges= add-secondary-ranges-with-reserved-internal-range= remove-secondary-ranges= \
         drain-timeout= allow-cidr-routes-overlap",
    ),
    ("compute networks subnets expand-ip-range", "NAME", "region= prefix-length="),
    ("compute networks subnets delete", "NAME...", "region= async"),
    (
        "compute networks vpc-access connectors create",
        "CONNECTOR",
        "region= network= range= subnet= subnet-project= min-instances= max-instances= min-throughput= max-throughput= \
         machine-type= async",
    ),
    (
        "compute networks vpc-access connectors update",
        "CONNECTOR",
        "region= min-instances= max-instances= min-throughput= max-throughput= machine-type= async",
    ),
    ("compute networks vpc-access connectors delete", "CONNECTOR", "region= async"),
    ("compute networks peerings create", "NAME", "@peering peer-network= peer-project= auto-create-routes"),
    ("compute networks peerings update", "NAME", "@peering"),
    ("compute networks peerings delete", "NAME", "network= async"),
    ("services vpc-peerings connect", "", "network= ranges= service= async"),
    ("services vpc-peerings update", "", "network= ranges= service= async force"),
    ("services vpc-peerings delete", "", "network= service= async"),
    ("compute routers create", "NAME", "@router network= encrypted-interconnect-router ncc-gateway="),
    (
        "compute routers update",
        "NAME",
        "@router add-advertisement-groups= add-advertisement-ranges= remove-advertisement-groups= \
         remove-advertisement-ranges= clear-advertisement-groups clear-advertisement-ranges",
    ),
    ("compute routers delete", "NAME...", "region= async"),
    ("compute routers nats create", "NAME", "@nat type= endpoint-types="),
    (
        "compute routers nats update",
        "NAME",
        "@nat nat-external-drain-ip-pool= clear-nat-external-drain-ip-pool clear-auto-network-tier clear-min-ports-per-vm \
         clear-max-ports-per-vm clear-udp-idle-timeout clear-icmp-idle-timeout clear-tcp-established-idle-timeout \
         clear-tcp-transitory-idle-timeout clear-tcp-time-wait-timeout clear-nat64-subnet-ip-ranges \
         clear-nat-subnet-ip-ranges",
    ),
    ("compute routers nats delete", "NAME...", "router= region= async"),
    (
        "compute routers nats rules create",
        "RULE_NUMBER",
        "nat= router= region= match= source-nat-active-ips= source-nat-active-ranges= async",
    ),
    (
        "compute routers nats rules update",
        "RULE_NUMBER",
        "nat= router= region= match= source-nat-active-ips= source-nat-active-ranges= source-nat-drain-ips= \
         source-nat-drain-ranges= async",
    ),
    ("compute routers nats rules delete", "RULE_NUMBER", "nat= router= region= async"),
    (
        "compute addresses create",
        "[NAME...]",
        "addresses= region= global subnet= network= network-tier= purpose= prefix-length= ip-version= \
         ipv6-endpoint-type= endpoint-type= description= ip-collection= labels=",
    ),
    ("compute addresses delete", "NAME...", "region= global"),
    (
        "compute firewall-rules create",
        "NAME",
        "@firewall network= direction= action= resource-manager-tags= target-service-accounts=",
    ),
    ("compute firewall-rules update", "NAME", "@firewall"),
    ("compute firewall-rules delete", "NAME...", ""),
    (
        "compute routes create",
        "NAME",
        "destination-range= network= next-hop-address= next-hop-gateway= next-hop-ilb= next-hop-ilb-region= \
         next-hop-instance= next-hop-instance-zone= next-hop-vpn-tunnel= next-hop-vpn-tunnel-region= priority= tags= \
         description= resource-manager-tags=",
    ),
    ("compute routes delete", "NAME...", ""),
    (
        "compute instances create",
        "NAME...",
        "zone= machine-type= network= subnet= network-interface= private-network-ip= address= network-tier= stack-type= \
         tags= can-ip-forward service-account= scopes= image= image-family= image-project= boot-disk-size= boot-disk-type= \
         boot-disk-auto-delete boot-disk-device-name= create-disk= disk= metadata= metadata-from-file= labels= preemptible \
         provisioning-model= maintenance-policy= restart-on-failure shielded-vtpm shielded-secure-boot \
         shielded-integrity-monitoring deletion-protection description= hostname= accelerator= async min-cpu-platform= \
         custom-cpu= custom-memory= custom-extensions custom-vm-type= local-ssd= source-instance-template= \
         source-machine-image= source-snapshot= resource-policies= confidential-compute confidential-compute-type= \
         instance-termination-action= reservation-affinity= reservation= node= node-group= node-affinity-file= \
         node-project= public-ptr public-ptr-domain= ipv6-network-tier= ipv6-address= external-ipv6-address= \
         external-ipv6-prefix-length= internal-ipv6-address= internal-ipv6-prefix-length= enable-nested-virtualization \
         threads-per-core= visible-core-count= network-performance-configs= key-revocation-action-type= max-run-duration= \
         termination-time= csek-key-file= boot-disk-kms-key= boot-disk-kms-project= boot-disk-kms-location= \
         boot-disk-kms-keyring= erase-windows-vss-signature enable-display-device resource-manager-tags= aliases= \
         host-error-timeout-seconds= local-ssd-recovery-timeout= availability-domain= private-ipv6-google-access-type= \
         boot-disk-provisioned-iops= boot-disk-provisioned-throughput= boot-disk-interface= image-family-scope= \
         address= instance-template= post-key-revocation-action-type= performance-monitoring-unit= turbo-mode= \
         enable-uefi-networking discard-local-ssds-at-termination-timestamp= graceful-shutdown",
    ),
    ("compute instances delete", "NAME...", "zone= delete-disks= keep-disks= async"),
    ("compute instances add-tags", "NAME", "zone= tags= async"),
    ("compute instances remove-tags", "NAME", "zone= tags= all async"),
    (
        "network-connectivity policy-based-routes create",
        "NAME",
        "network= source-range= destination-range= ip-protocol= protocol-version= next-hop-ilb-ip= next-hop-other-routes= \
         priority= tags= interconnect-attachment-region= description= labels= async",
    ),
    ("network-connectivity policy-based-routes delete", "NAME", "async"),
    ("compute network-firewall-policies create", "NAME", "global region= description= async policy-type="),
    ("compute network-firewall-policies delete", "NAME", "global region= async"),
    ("compute network-firewall-policies rules create", "PRIORITY", "@policy-rule"),
    ("compute network-firewall-policies rules update", "PRIORITY", "@policy-rule"),
    ("compute network-firewall-policies rules delete", "PRIORITY", "@policy-rule"),
    (
        "compute network-firewall-policies associations create",
        "",
        "firewall-policy= network= name= global-firewall-policy firewall-policy-region= replace-association-on-target \
         associate-at-target priority=",
    ),
    ("run deploy", "[SERVICE]", "@run @service"),
    ("run services update", "[SERVICE]", "@run @service"),
    (
        "run services replace",
        "FILE",
        "region= async dry-run platform= cluster= cluster-location= namespace= client-name=",
    ),
    ("run services delete", "SERVICE", "region= async platform= cluster= cluster-location= namespace="),
    (
        "run services update-traffic",
        "[SERVICE]",
        "to-latest to-revisions= to-tags= set-tags= update-tags= remove-tags= clear-tags region= async platform= \
         cluster= cluster-location= namespace=",
    ),
    ("run jobs create", "[JOB]", "@run @job"),
    ("run jobs deploy", "[JOB]", "@run @job"),
    ("run jobs update", "[JOB]", "@run @job"),
    ("run jobs replace", "FILE", "region= async dry-run namespace= client-name="),
    (
        "run jobs execute",
        "JOB",
        "region= async wait tasks= args= update-env-vars= task-timeout= container= namespace= delay-execution= priority-tier=",
    ),
    ("run jobs delete", "JOB", "region= async namespace="),
    ("run worker-pools deploy", "[WORKER_POOL]", "@run @pool"),
    ("run worker-pools update", "[WORKER_POOL]", "@run @pool"),
    ("run worker-pools replace", "FILE", "region= async dry-run client-name="),
    ("run worker-pools delete", "WORKER_POOL", "region= async"),
    (
        "functions deploy",
        "NAME",
        "region= gen2 runtime= entry-point= source= stage-bucket= trigger-http trigger-topic= trigger-bucket= \
         trigger-event= trigger-resource= trigger-event-filters= trigger-event-filters-path-pattern= trigger-location= \
         trigger-service-account= trigger-channel= allow-unauthenticated vpc-connector= clear-vpc-connector \
         egress-settings= ingress-settings= network= subnet= network-tags= direct-vpc-egress= clear-network \
         clear-network-tags direct-vpc-network= direct-vpc-subnet= direct-vpc-tags= vpc-egress= min-instances= \
         max-instances= clear-min-instances clear-max-instances concurrency= cpu= memory= timeout= service-account= \
         run-service-account= build-service-account= set-env-vars= update-env-vars= remove-env-vars= clear-env-vars \
         env-vars-file= set-build-env-vars= update-build-env-vars= remove-build-env-vars= clear-build-env-vars \
         build-env-vars-file= set-secrets= update-secrets= remove-secrets= clear-secrets update-labels= remove-labels= \
         clear-labels docker-registry= docker-repository= clear-docker-repository kms-key= clear-kms-key \
         build-worker-pool= clear-build-worker-pool ignore-file= retry security-level= serve-all-traffic-latest-revision \
         runtime-update-policy= buildpack-stack= binary-authorization= clear-binary-authorization upgrade labels=",
    ),
    ("functions delete", "NAME", "region= gen2"),
];
