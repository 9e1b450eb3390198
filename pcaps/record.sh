#!/usr/bin/env bash
# Records the captures of this folder again: record.sh [CASE...], as root; all cases take about 80 seconds.
#
# Each case gets a lab of its own out of network namespaces, and the kernel's own TCP speaks in it:
#
#   client-0 ──veth── lan0 ┐
#   client-1 ──veth── lan1 ┤ lan (bridge, 10.x.0.1)   router ──wan── (wire.py: delay) ──wan── servers (addresses on lo)
#   ...                    ┘
#
# Recorded is what passes on the clients' side, before any NAT: there is none in the lab. Nothing outside the namespaces
# made here is touched; every process has a time limit; namespaces, processes and temporary files go when the script does.
# A capture replaces the old one only when it is whole and every checksum in it is right.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly -a all_cases=(web burst retries long-lived)
readonly limit=100  # seconds after which any process here is ended, whatever it waits for
readonly -a rtts=(192.0.2.10=12 192.0.2.20=18 198.51.100.7=40 198.51.100.20=25 198.51.100.33=60 198.51.100.53=4)

pids=() namespaces=() work=

fail() {
  echo "record.sh: $*" >&2
  exit 1
}

cleanup() {
  trap - EXIT INT TERM
  set +e
  if ((${#pids[@]})); then
    kill "${pids[@]}" 2>/dev/null
    wait "${pids[@]}" 2>/dev/null
  fi
  for namespace in "${namespaces[@]}"; do
    ip netns del "$namespace" 2>/dev/null
  done
  [[ -z $work ]] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

add_namespace() {
  namespaces+=("$1")
  ip netns add "$1"
  ip netns exec "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 \
    net.ipv4.ping_group_range="0 0"
  ip -n "$1" link set lo up
}

# No offload: a packet is recorded as long, and with the checksum, as it would be on a cable.
no_offload() {
  ip netns exec "$1" ethtool -K "$2" tso off gso off gro off sg off tx off rx off >/dev/null
}

# start NAMESPACE LOG COMMAND...: in the background, with a time limit, noted for the end.
start() {
  local namespace=$1 log=$2
  shift 2
  timeout "$limit" ip netns exec "$namespace" "$@" >"$log" 2>&1 &
  pids+=($!)
}

# await LOG TEXT: until a process has said so.
await() {
  for _ in {1..100}; do
    ! grep -qs "$2" "$1" || return 0
    sleep 0.1
  done
  cat "$1" >&2
  fail "waited ten seconds for \"$2\""
}

# build CASE SUBNET CLIENTS SERVER...: a lab; SUBNET is the first three bytes, a SERVER is what servers.py takes.
build() {
  local case=$1 subnet=$2 clients=$3
  shift 3
  local router=$prefix-$case-router servers=$prefix-$case-servers
  add_namespace "$router"
  add_namespace "$servers"
  ip -n "$router" link add lan type bridge mcast_snooping 0
  no_offload "$router" lan
  ip -n "$router" addr add "$subnet.1/24" dev lan
  ip -n "$router" link set lan up
  for ((index = 0; index < clients; index++)); do
    local client=$prefix-$case-client-$index
    add_namespace "$client"
    ip -n "$client" link add eth0 type veth peer name "lan$index" netns "$router"
    no_offload "$client" eth0
    no_offload "$router" "lan$index"
    ip -n "$client" addr add "$subnet.$((11 + index))/24" dev eth0
    ip -n "$router" link set "lan$index" master lan up
    ip -n "$client" link set eth0 up
    ip -n "$client" route add default via "$subnet.1"
  done
  for namespace in "$router" "$servers"; do
    ip -n "$namespace" tuntap add dev wan mode tun
    ip -n "$namespace" link set wan txqueuelen 10000 up
    ip netns exec "$namespace" sysctl -qw net.ipv4.ip_forward=1
  done
  ip -n "$router" route add 192.0.2.0/24 dev wan
  ip -n "$router" route add 198.51.100.0/24 dev wan
  ip -n "$servers" route add 10.0.0.0/8 dev wan
  ip -n "$servers" route add blackhole 192.0.2.99/32  # arrives there and is never spoken of again
  for rtt in "${rtts[@]}"; do
    ip -n "$servers" addr add "${rtt%=*}/32" dev lo
  done
  start "$router" "$work/$case.wire" python3 "$here/lib/wire.py" "$router" "$servers" "${rtts[@]}"
  start "$servers" "$work/$case.servers" python3 "$here/lib/servers.py" "$@"
  await "$work/$case.wire" ready
  await "$work/$case.servers" ready
}

# record CASE NAMESPACE COMMAND...: a recorder, listening.
record() {
  local case=$1 namespace=$2
  shift 2
  start "$namespace" "$work/$case.recorder" "$@"
  recorders+=($!)
  await "$work/$case.recorder" "listening on\|^File: "
}

# Each case: its lab, and how it is recorded. Together they cover the formats people have.
prepare() {
  local out=$work/$1
  case $1 in
    web) # classic pcap, µs, Ethernet, at the router
      build web 10.20.0 6 http=192.0.2.10:80 http=192.0.2.10:443 http=192.0.2.20:443 http=198.51.100.7:443 \
        http=198.51.100.20:80 http=198.51.100.20:8080 http=198.51.100.33:443 http=198.51.100.33:8080 dns=198.51.100.53:53
      record web "$prefix-web-router" tcpdump -Z root -i lan -s 0 -B 16384 -w "$out.pcap" "tcp or udp or icmp"
      ;;
    burst) # classic pcap, ns, Ethernet, at the router
      build burst 10.21.0 1 http=198.51.100.7:443
      record burst "$prefix-burst-router" \
        tcpdump -Z root -i lan -s 0 -B 16384 --time-stamp-precision=nano -w "$out.pcap" "tcp or udp or icmp"
      ;;
    retries) # classic pcap, µs, Linux SLL2, on the client itself
      build retries 10.22.0 1 http=192.0.2.10:443
      record retries "$prefix-retries-client-0" tcpdump -Z root -i any -y LINUX_SLL2 -s 0 -w "$out.pcap" "tcp or udp or icmp"
      ;;
    long-lived) # pcapng, ns, Ethernet, two interfaces of the router, ARP too
      build long-lived 10.23.0 2 line-tcp=192.0.2.10:8883 line-udp=198.51.100.20:7000
      record long-lived "$prefix-long-lived-router" dumpcap -q -i lan0 -i lan1 -s 0 -w "$out.pcapng"
      ;;
  esac
}

((EUID == 0)) || fail "namespaces need root"
for tool in ip ethtool tcpdump dumpcap python3 timeout sysctl; do
  command -v "$tool" >/dev/null || fail "$tool is missing (Debian: apt-get install iproute2 ethtool tcpdump tshark python3 procps)"
done
[[ -c /dev/net/tun ]] || fail "/dev/net/tun is missing"
cases=("${@:-${all_cases[@]}}")
for case in "${cases[@]}"; do
  [[ " ${all_cases[*]} " == *" $case "* ]] || fail "no case \"$case\": there are ${all_cases[*]}"
done
prefix=lab$$
work=$(mktemp -d)
ulimit -n 4096

recorders=() clients=()
for case in "${cases[@]}"; do
  prepare "$case"
done
for case in "${cases[@]}"; do
  for namespace in "${namespaces[@]}"; do
    [[ $namespace == "$prefix-$case-client-"* ]] || continue
    index=${namespace##*-}
    start "$namespace" "$work/$case.client-$index" python3 "$here/lib/clients.py" "$case" "$index"
    clients+=("$!:$work/$case.client-$index")
  done
done
echo "recording ${cases[*]} ..."
for client in "${clients[@]}"; do
  wait "${client%%:*}" || { cat "${client#*:}" >&2; fail "a client failed: ${client##*/}"; }
done
sleep 1 # last acknowledgements
kill "${recorders[@]}"
wait "${recorders[@]}" || true

for case in "${cases[@]}"; do
  if grep -E "[1-9][0-9]* packets? dropped by kernel|dropped on interface .*: [0-9]+/[1-9]" "$work/$case.recorder"; then
    fail "the recorder of $case lost packets"
  fi
  file=$(ls "$work/$case".pcap*)
  [[ -f $here/$case/README.md ]] || fail "$case has no README.md to put the counts in"
  python3 "$here/lib/survey.py" "$file" --readme "$here/$case/README.md"
  install -m 644 "$file" "$here/$case/.input.new"
  mv "$here/$case/.input.new" "$here/$case/input.${file##*.}"
done
