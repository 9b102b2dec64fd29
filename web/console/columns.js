// SPDX-License-Identifier: Apache-2.0
import { age, bytes, count, duration } from "./format.js";

export const titles = {
  tunnels: "Tunnels", services: "Services", endpoints: "Endpoints", routes: "Routes", frontends: "Frontends",
};

const addresses = (item) => (item.endpoints ?? []).map((e) => e.address + (e.down ? " (down)" : e.backup ? " (backup)" : ""));
const withPort = (address, port) => address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
const pair = ([key, value]) => `${key}=${value}`;

function externalAddresses(service) {
  const balancer = (service.status?.loadBalancer?.ingress ?? []).map((i) => i.ip ?? i.hostname);
  return [...balancer, ...(service.spec.externalIPs ?? []), ...(service.spec.externalName ? [service.spec.externalName] : [])];
}

// value: text, or a list of texts. kind: a class of the cell.
export const columns = {
  tunnels: [
    { name: "ID", value: (t) => t.id, kind: "mono" },
    { name: "Protocol", value: (t) => t.protocol },
    { name: "Client", value: (t) => t.client, kind: "mono" },
    { name: "Service", value: (t) => t.service, title: (t) => `${t.route} at ${t.frontend}` },
    { name: "Endpoint", value: (t) => t.endpoint, kind: "mono", title: (t) => t.endpointName },
    { name: "Age", value: (t) => duration(t.ageSeconds), kind: "number", title: (t) => t.started },
    { name: "Idle", value: (t) => duration(t.idleSeconds), kind: "number", title: (t) => `closed after ${duration(t.idleTimeoutSeconds)}` },
    { name: "In", value: (t) => bytes(t.fromClient.bytes), kind: "number" },
    { name: "Out", value: (t) => bytes(t.fromEndpoint.bytes), kind: "number" },
    { name: "Frames in", value: (t) => count(t.fromClient.frames), kind: "number" },
    { name: "Frames out", value: (t) => count(t.fromEndpoint.frames), kind: "number" },
  ],
  services: [
    { name: "Namespace", value: (s) => s.metadata.namespace },
    { name: "Name", value: (s) => s.metadata.name },
    { name: "Type", value: (s) => s.spec.type },
    { name: "Cluster IP", value: (s) => s.spec.clusterIPs ?? [] },
    { name: "External IP", value: externalAddresses },
    { name: "Ports", value: (s) => (s.spec.ports ?? []).map((p) => `${p.port}${p.nodePort ? ":" + p.nodePort : ""}/${p.protocol}`) },
    { name: "Selector", value: (s) => Object.entries(s.spec.selector ?? {}).map(pair) },
    { name: "Affinity", value: (s) => s.spec.sessionAffinity === "ClientIP" ? "client IP" : "" },
    { name: "Age", value: (s) => age(s.metadata.creationTimestamp), kind: "number" },
  ],
  endpoints: [
    { name: "Namespace", value: (e) => e.metadata.namespace },
    { name: "Service", value: (e) => e.metadata.labels["kubernetes.io/service-name"] },
    { name: "Ready", value: (e) => addressesWhere(e, (c) => c.ready) },
    { name: "Terminating", value: (e) => addressesWhere(e, (c) => c.terminating && !c.ready) },
    { name: "Not ready", value: (e) => addressesWhere(e, (c) => !c.ready && !c.terminating) },
  ],
  routes: [
    { name: "Listen", value: (r) => r.listen, kind: "mono" },
    { name: "Hosts", value: (r) => [...r.hosts, ...(r.defaultServer ? ["(default)"] : [])] },
    { name: "Match", value: (r) => r.match },
    { name: "Path", value: (r) => r.path, kind: "mono" },
    { name: "Backend", value: (r) => r.service ?? r.url ?? r.action },
    { name: "Scheduler", value: (r) => r.scheduler ?? "" },
    { name: "Endpoints", value: addresses },
    { name: "Written in", value: (r) => r.position, kind: "mono soft" },
  ],
  frontends: [
    { name: "Type", value: (f) => f.type },
    { name: "Address", value: (f) => f.address, kind: "mono" },
    { name: "Protocol", value: (f) => f.protocol },
    { name: "Service", value: (f) => f.service },
    { name: "Port", value: (f) => f.servicePort },
    { name: "Scheduler", value: (f) => f.scheduler ?? "" },
    { name: "Endpoints", value: addresses },
  ],
};

function addressesWhere(slice, test) {
  return (slice.endpoints ?? []).filter((e) => test(e.conditions))
    .flatMap((e) => e.addresses.flatMap((a) => (slice.ports ?? []).map((p) => withPort(a, p.port))));
}
