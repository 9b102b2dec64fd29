// SPDX-License-Identifier: Apache-2.0
#pragma once

// The Kubernetes objects that hawser reads, with the API's field names (k8s.io/api core/v1, discovery/v1,
// networking/v1), described for the generic decoder (Boost.Describe). Fields that hawser does not use are not
// here; the decoder tolerates them if the API knows them.

#include <boost/describe.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "catalog/diagnostic.h"
#include "catalog/http.h"
#include "catalog/vip.h"
#include "net/address.h"

namespace hawser::catalog {

enum class Protocol : std::uint8_t { tcp, udp, sctp };
std::string_view to_string(Protocol protocol);  // "TCP", "UDP", "SCTP"
std::optional<Protocol> parse_protocol(std::string_view text);

using StringMap = std::map<std::string, std::string>;

struct IntOrString {
    std::variant<std::int32_t, std::string> value = 0;
    bool operator==(const IntOrString&) const = default;
};

struct ObjectMeta {
    std::string name;
    std::string namespace_ = "default";  // metadata.namespace
    StringMap labels;
    StringMap annotations;
    std::string creationTimestamp;  // RFC 3339, "" when the manifest has none
    std::string deletionTimestamp;
    bool operator==(const ObjectMeta&) const = default;
    [[nodiscard]] std::string key() const { return namespace_ + "/" + name; }
};
BOOST_DESCRIBE_STRUCT(ObjectMeta, (),
                      (name, namespace_, labels, annotations, creationTimestamp, deletionTimestamp))

// ---- core/v1 Service ----
enum class ServiceType : std::uint8_t { ClusterIP, NodePort, LoadBalancer, ExternalName };
enum class SessionAffinity : std::uint8_t { None, ClientIP };
enum class TrafficPolicy : std::uint8_t { Cluster, Local };

struct ServicePort {
    std::string name;
    std::string protocol = "TCP";
    std::optional<std::string> appProtocol;
    std::int32_t port = 0;
    std::optional<IntOrString> targetPort;
    std::int32_t nodePort = 0;  // 0 = to be allocated, or none
    bool operator==(const ServicePort&) const = default;
};
BOOST_DESCRIBE_STRUCT(ServicePort, (), (name, protocol, appProtocol, port, targetPort, nodePort))
struct ClientIPConfig {
    std::optional<std::int32_t> timeoutSeconds;
    bool operator==(const ClientIPConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(ClientIPConfig, (), (timeoutSeconds))
struct SessionAffinityConfig {
    std::optional<ClientIPConfig> clientIP;
    bool operator==(const SessionAffinityConfig&) const = default;
};
BOOST_DESCRIBE_STRUCT(SessionAffinityConfig, (), (clientIP))
struct LoadBalancerIngress {
    std::string ip;
    std::string hostname;
    std::optional<std::string> ipMode;
    bool operator==(const LoadBalancerIngress&) const = default;
};
BOOST_DESCRIBE_STRUCT(LoadBalancerIngress, (), (ip, hostname, ipMode))
struct LoadBalancerStatus {
    std::vector<LoadBalancerIngress> ingress;
    bool operator==(const LoadBalancerStatus&) const = default;
};
BOOST_DESCRIBE_STRUCT(LoadBalancerStatus, (), (ingress))
struct ServiceStatus {
    LoadBalancerStatus loadBalancer;
    bool operator==(const ServiceStatus&) const = default;
};
BOOST_DESCRIBE_STRUCT(ServiceStatus, (), (loadBalancer))
struct ServiceSpec {
    std::string type = "ClusterIP";
    std::vector<ServicePort> ports;
    StringMap selector;
    std::string clusterIP;  // "" = to be allocated; "None" = headless
    std::vector<std::string> clusterIPs;
    std::vector<std::string> externalIPs;
    std::string externalName;
    std::string sessionAffinity = "None";
    std::optional<SessionAffinityConfig> sessionAffinityConfig;
    std::optional<std::string> externalTrafficPolicy;
    std::optional<std::string> internalTrafficPolicy;
    std::optional<std::string> ipFamilyPolicy;
    std::vector<std::string> ipFamilies;
    std::string loadBalancerIP;
    std::vector<std::string> loadBalancerSourceRanges;
    std::optional<std::string> loadBalancerClass;
    std::optional<bool> allocateLoadBalancerNodePorts;
    std::optional<std::int32_t> healthCheckNodePort;
    std::optional<bool> publishNotReadyAddresses;
    std::optional<std::string> trafficDistribution;
    bool operator==(const ServiceSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(ServiceSpec, (),
                      (type, ports, selector, clusterIP, clusterIPs, externalIPs, externalName,
                       sessionAffinity, sessionAffinityConfig, externalTrafficPolicy, internalTrafficPolicy,
                       ipFamilyPolicy, ipFamilies, loadBalancerIP, loadBalancerSourceRanges,
                       loadBalancerClass, allocateLoadBalancerNodePorts, healthCheckNodePort,
                       publishNotReadyAddresses, trafficDistribution))
struct Service {
    ObjectMeta metadata;
    ServiceSpec spec;
    ServiceStatus status;
    bool operator==(const Service&) const = default;
};
BOOST_DESCRIBE_STRUCT(Service, (), (metadata, spec, status))

// ---- discovery/v1 EndpointSlice ----
struct EndpointConditions {
    std::optional<bool> ready, serving, terminating;  // nil rules: E-04
    bool operator==(const EndpointConditions&) const = default;
};
BOOST_DESCRIBE_STRUCT(EndpointConditions, (), (ready, serving, terminating))
struct ObjectReference {
    std::string kind, name, namespace_;
    bool operator==(const ObjectReference&) const = default;
};
BOOST_DESCRIBE_STRUCT(ObjectReference, (), (kind, name, namespace_))
struct ForZone {
    std::string name;
    bool operator==(const ForZone&) const = default;
};
BOOST_DESCRIBE_STRUCT(ForZone, (), (name))
struct ForNode {
    std::string name;
    bool operator==(const ForNode&) const = default;
};
BOOST_DESCRIBE_STRUCT(ForNode, (), (name))
struct EndpointHints {
    std::vector<ForZone> forZones;
    std::vector<ForNode> forNodes;
    bool operator==(const EndpointHints&) const = default;
};
BOOST_DESCRIBE_STRUCT(EndpointHints, (), (forZones, forNodes))
struct SliceEndpoint {
    std::vector<std::string> addresses;
    EndpointConditions conditions;
    std::string hostname;
    std::optional<ObjectReference> targetRef;
    std::string nodeName;
    std::string zone;
    std::optional<EndpointHints> hints;
    bool operator==(const SliceEndpoint&) const = default;
};
BOOST_DESCRIBE_STRUCT(SliceEndpoint, (), (addresses, conditions, hostname, targetRef, nodeName, zone, hints))
struct SlicePort {
    std::optional<std::string> name;
    std::string protocol = "TCP";
    std::optional<std::int32_t> port;
    std::optional<std::string> appProtocol;
    bool operator==(const SlicePort&) const = default;
};
BOOST_DESCRIBE_STRUCT(SlicePort, (), (name, protocol, port, appProtocol))
struct EndpointSlice {
    ObjectMeta metadata;
    std::string addressType = "IPv4";
    std::vector<SliceEndpoint> endpoints;
    std::vector<SlicePort> ports;
    bool operator==(const EndpointSlice&) const = default;
};
BOOST_DESCRIBE_STRUCT(EndpointSlice, (), (metadata, addressType, endpoints, ports))

// ---- core/v1 Endpoints (deprecated, still written by hand) ----
struct EndpointAddress {
    std::string ip, hostname, nodeName;
    std::optional<ObjectReference> targetRef;
    bool operator==(const EndpointAddress&) const = default;
};
BOOST_DESCRIBE_STRUCT(EndpointAddress, (), (ip, hostname, nodeName, targetRef))
struct EndpointPort {
    std::string name;
    std::int32_t port = 0;
    std::string protocol = "TCP";
    std::optional<std::string> appProtocol;
    bool operator==(const EndpointPort&) const = default;
};
BOOST_DESCRIBE_STRUCT(EndpointPort, (), (name, port, protocol, appProtocol))
struct EndpointSubset {
    std::vector<EndpointAddress> addresses, notReadyAddresses;
    std::vector<EndpointPort> ports;
    bool operator==(const EndpointSubset&) const = default;
};
BOOST_DESCRIBE_STRUCT(EndpointSubset, (), (addresses, notReadyAddresses, ports))
struct Endpoints {
    ObjectMeta metadata;
    std::vector<EndpointSubset> subsets;
    bool operator==(const Endpoints&) const = default;
};
BOOST_DESCRIBE_STRUCT(Endpoints, (), (metadata, subsets))

// ---- core/v1 Pod, Node, Secret ----
struct ContainerPort {
    std::string name;
    std::int32_t containerPort = 0;
    std::string protocol = "TCP";
    bool operator==(const ContainerPort&) const = default;
};
BOOST_DESCRIBE_STRUCT(ContainerPort, (), (name, containerPort, protocol))
struct Container {
    std::string name;
    std::vector<ContainerPort> ports;
    bool operator==(const Container&) const = default;
};
BOOST_DESCRIBE_STRUCT(Container, (), (name, ports))
struct PodSpec {
    std::vector<Container> containers;
    std::string nodeName;
    bool hostNetwork = false;
    bool operator==(const PodSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(PodSpec, (), (containers, nodeName, hostNetwork))
struct Condition {
    std::string type, status;
    bool operator==(const Condition&) const = default;
};
BOOST_DESCRIBE_STRUCT(Condition, (), (type, status))
struct PodIP {
    std::string ip;
    bool operator==(const PodIP&) const = default;
};
BOOST_DESCRIBE_STRUCT(PodIP, (), (ip))
struct PodStatus {
    std::string phase;
    std::string podIP;
    std::vector<PodIP> podIPs;
    std::vector<Condition> conditions;
    bool operator==(const PodStatus&) const = default;
};
BOOST_DESCRIBE_STRUCT(PodStatus, (), (phase, podIP, podIPs, conditions))
struct Pod {
    ObjectMeta metadata;
    PodSpec spec;
    PodStatus status;
    bool operator==(const Pod&) const = default;
};
BOOST_DESCRIBE_STRUCT(Pod, (), (metadata, spec, status))
struct NodeAddress {
    std::string type, address;
    bool operator==(const NodeAddress&) const = default;
};
BOOST_DESCRIBE_STRUCT(NodeAddress, (), (type, address))
struct NodeStatus {
    std::vector<NodeAddress> addresses;
    std::vector<Condition> conditions;
    bool operator==(const NodeStatus&) const = default;
};
BOOST_DESCRIBE_STRUCT(NodeStatus, (), (addresses, conditions))
struct NodeSpec {
    std::string podCIDR;
    std::vector<std::string> podCIDRs;
    bool unschedulable = false;
    bool operator==(const NodeSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(NodeSpec, (), (podCIDR, podCIDRs, unschedulable))
struct Node {
    ObjectMeta metadata;
    NodeSpec spec;
    NodeStatus status;
    bool operator==(const Node&) const = default;
};
BOOST_DESCRIBE_STRUCT(Node, (), (metadata, spec, status))
struct Secret {
    ObjectMeta metadata;
    std::string type = "Opaque";
    StringMap data;  // base64, as in the manifest; checked
    StringMap stringData;
    bool operator==(const Secret&) const = default;
};
BOOST_DESCRIBE_STRUCT(Secret, (), (metadata, type, data, stringData))

// ---- networking/v1 Ingress, IngressClass ----
struct ServiceBackendPort {
    std::string name;
    std::int32_t number = 0;
    bool operator==(const ServiceBackendPort&) const = default;
};
BOOST_DESCRIBE_STRUCT(ServiceBackendPort, (), (name, number))
struct IngressServiceBackend {
    std::string name;
    ServiceBackendPort port;
    bool operator==(const IngressServiceBackend&) const = default;
};
BOOST_DESCRIBE_STRUCT(IngressServiceBackend, (), (name, port))
struct IngressBackend {
    std::optional<IngressServiceBackend> service;
    bool operator==(const IngressBackend&) const = default;
};
BOOST_DESCRIBE_STRUCT(IngressBackend, (), (service))
struct HTTPIngressPath {
    std::string path;
    std::string pathType;
    IngressBackend backend;
    bool operator==(const HTTPIngressPath&) const = default;
};
BOOST_DESCRIBE_STRUCT(HTTPIngressPath, (), (path, pathType, backend))
struct HTTPIngressRuleValue {
    std::vector<HTTPIngressPath> paths;
    bool operator==(const HTTPIngressRuleValue&) const = default;
};
BOOST_DESCRIBE_STRUCT(HTTPIngressRuleValue, (), (paths))
struct IngressRule {
    std::string host;
    std::optional<HTTPIngressRuleValue> http;
    bool operator==(const IngressRule&) const = default;
};
BOOST_DESCRIBE_STRUCT(IngressRule, (), (host, http))
struct IngressTLS {
    std::vector<std::string> hosts;
    std::string secretName;
    bool operator==(const IngressTLS&) const = default;
};
BOOST_DESCRIBE_STRUCT(IngressTLS, (), (hosts, secretName))
struct IngressSpec {
    std::optional<std::string> ingressClassName;
    std::optional<IngressBackend> defaultBackend;
    std::vector<IngressTLS> tls;
    std::vector<IngressRule> rules;
    bool operator==(const IngressSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(IngressSpec, (), (ingressClassName, defaultBackend, tls, rules))
struct Ingress {
    ObjectMeta metadata;
    IngressSpec spec;
    bool operator==(const Ingress&) const = default;
};
BOOST_DESCRIBE_STRUCT(Ingress, (), (metadata, spec))
struct IngressClassSpec {
    std::string controller;
    bool operator==(const IngressClassSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(IngressClassSpec, (), (controller))
struct IngressClass {
    ObjectMeta metadata;
    IngressClassSpec spec;
    bool operator==(const IngressClass&) const = default;
};
BOOST_DESCRIBE_STRUCT(IngressClass, (), (metadata, spec))

// hawser.io/v1alpha1 VIP: addresses that one of the nodes has at a time. The same object may be given to all nodes.
struct VIPNode {
    std::string name;
    std::int32_t priority = 0;  // 1..254
    bool operator==(const VIPNode&) const = default;
};
BOOST_DESCRIBE_STRUCT(VIPNode, (), (name, priority))
struct VIPSpec {
    std::vector<std::string> addresses;  // "192.168.0.150/24"; all of one family
    std::string interface;               // "" = the one in whose network the first address is
    std::optional<std::int32_t> virtualRouterID;  // 1..255; absent = the last byte of the first address
    std::optional<std::int32_t> priority;         // 1..254; absent = 100
    std::vector<VIPNode> nodes;                   // priorities of single nodes, instead of `priority`
    std::optional<std::int32_t> advertIntervalMilliseconds;  // 10..40950 in steps of 10; absent = 100
    std::optional<bool> preempt;                             // absent = true
    std::vector<std::string> peers;  // other nodes' addresses: unicast; none = multicast
    bool operator==(const VIPSpec&) const = default;
};
BOOST_DESCRIBE_STRUCT(VIPSpec, (), (addresses, interface, virtualRouterID, priority, nodes,
                                    advertIntervalMilliseconds, preempt, peers))
struct VIP {
    ObjectMeta metadata;
    VIPSpec spec;
    bool operator==(const VIP&) const = default;
};
BOOST_DESCRIBE_STRUCT(VIP, (), (metadata, spec))

// One object with the place where it was read.
template <class T>
struct Sourced {
    T object;
    Position position;
};

// All that the sources produced together: the input of the build (build.h).
struct Objects {
    std::vector<Sourced<Service>> services;
    std::vector<Sourced<EndpointSlice>> slices;
    std::vector<Sourced<Endpoints>> endpoints;
    std::vector<Sourced<Pod>> pods;
    std::vector<Sourced<Node>> nodes;
    std::vector<Sourced<Secret>> secrets;
    std::vector<Sourced<Ingress>> ingresses;
    std::vector<Sourced<IngressClass>> ingress_classes;
    std::vector<Sourced<VIP>> vips;
    std::vector<http::Listener> listeners;  // from nginx.conf
    vip::Plan vip_plan;                     // from keepalived.conf
    Diagnostics remarks;  // warnings and notes of the sources, for Snapshot::remarks; whoever loads sets it
};

}  // namespace hawser::catalog
