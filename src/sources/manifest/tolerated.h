// SPDX-License-Identifier: Apache-2.0
#pragma once

// The fields of the Kubernetes API (1.36) that hawser reads past, kind by kind. What is neither here nor in
// catalog/objects.h is a typing error of the manifest. The content of a tolerated field is not looked into.

#include "sources/manifest/decode.h"

namespace hawser::manifest {

#define HAWSER_TOLERATED(type, ...)                                                   \
    template <>                                                                       \
    struct Tolerated<catalog::type> {                                                 \
        static constexpr auto names = std::to_array<std::string_view>({__VA_ARGS__}); \
    }

HAWSER_TOLERATED(ObjectMeta, "deletionGracePeriodSeconds", "finalizers", "generateName", "generation",
                 "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid");
HAWSER_TOLERATED(Service, "apiVersion", "kind");
HAWSER_TOLERATED(ServiceStatus, "conditions");
HAWSER_TOLERATED(LoadBalancerIngress, "ports");
HAWSER_TOLERATED(EndpointSlice, "apiVersion", "kind");
HAWSER_TOLERATED(SliceEndpoint, "deprecatedTopology");
HAWSER_TOLERATED(ObjectReference, "apiVersion", "fieldPath", "resourceVersion", "uid");
HAWSER_TOLERATED(Endpoints, "apiVersion", "kind");
HAWSER_TOLERATED(Pod, "apiVersion", "kind");
HAWSER_TOLERATED(ContainerPort, "hostIP", "hostPort");
HAWSER_TOLERATED(Container, "args", "command", "env", "envFrom", "image", "imagePullPolicy", "lifecycle",
                 "livenessProbe", "readinessProbe", "resizePolicy", "resources", "restartPolicy",
                 "restartPolicyRules", "securityContext", "startupProbe", "stdin", "stdinOnce",
                 "terminationMessagePath", "terminationMessagePolicy", "tty", "volumeDevices", "volumeMounts",
                 "workingDir");
HAWSER_TOLERATED(PodSpec, "activeDeadlineSeconds", "affinity", "automountServiceAccountToken", "dnsConfig",
                 "dnsPolicy", "enableServiceLinks", "ephemeralContainers", "hostAliases", "hostIPC",
                 "hostPID", "hostUsers", "hostname", "hostnameOverride", "imagePullSecrets", "initContainers",
                 "nodeSelector", "os", "overhead", "preemptionPolicy", "priority", "priorityClassName",
                 "readinessGates", "resourceClaims", "resources", "restartPolicy", "runtimeClassName",
                 "schedulerName", "schedulingGates", "schedulingGroup", "securityContext", "serviceAccount",
                 "serviceAccountName", "setHostnameAsFQDN", "shareProcessNamespace", "subdomain",
                 "terminationGracePeriodSeconds", "tolerations", "topologySpreadConstraints", "volumes",
                 "workloadRef");
HAWSER_TOLERATED(PodStatus, "allocatedResources", "containerStatuses", "ephemeralContainerStatuses",
                 "extendedResourceClaimStatus", "hostIP", "hostIPs", "initContainerStatuses", "message",
                 "nominatedNodeName", "observedGeneration", "qosClass", "reason", "resize",
                 "resourceClaimStatuses", "resources", "startTime");
HAWSER_TOLERATED(Condition, "lastHeartbeatTime", "lastProbeTime", "lastTransitionTime", "message",
                 "observedGeneration", "reason");
HAWSER_TOLERATED(Node, "apiVersion", "kind");
HAWSER_TOLERATED(NodeSpec, "configSource", "externalID", "providerID", "taints");
HAWSER_TOLERATED(NodeStatus, "allocatable", "capacity", "config", "daemonEndpoints", "declaredFeatures",
                 "features", "images", "nodeInfo", "phase", "runtimeHandlers", "volumesAttached",
                 "volumesInUse");
HAWSER_TOLERATED(Secret, "apiVersion", "kind", "immutable");
HAWSER_TOLERATED(Ingress, "apiVersion", "kind", "status");
HAWSER_TOLERATED(IngressBackend, "resource");
HAWSER_TOLERATED(IngressClass, "apiVersion", "kind");
HAWSER_TOLERATED(IngressClassSpec, "parameters");
HAWSER_TOLERATED(VIP, "apiVersion", "kind", "status");

#undef HAWSER_TOLERATED

}  // namespace hawser::manifest
