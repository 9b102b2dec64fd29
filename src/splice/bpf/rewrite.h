/* SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only) */
/* Writes into a packet what its flow says. Checksums are changed by what changed (RFC 1624), so that a wrong one stays
 * wrong, and CHECKSUM_PARTIAL, COMPLETE and NONE all come out right. */
#ifndef HAWSER_SPLICE_REWRITE_H
#define HAWSER_SPLICE_REWRITE_H

#include "packet.h"

/* BPF_F_IPV6 where the kernel has it: with IPv6 a change of address does not change skb->csum. The process sets it when
 * `probe_checksum_flag` says so. */
unsigned long long checksum_v6_flag = 0;

/* A ones' complement sum, not folded. */
static __always_inline u64 changed(u64 sum, u32 before, u32 now) { return sum + (u32)~before + now; }

static __always_inline u32 folded(u64 sum) {
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    return sum;
}

static __always_inline u16 folded16(u64 sum) {
    sum = folded(sum);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

/* One TCP option at `at` of the options in `s`; returns where the next one begins, or 64 at the end. */
static __always_inline u32 rewrite_option(struct scratch* s, u32 at, u32 size, const struct flow* f) {
    if (at >= size || at >= 40) return 64;
    const u8 kind = s->options[at];
    if (kind == 0) return 64;
    if (kind == 1) return at + 1;
    if (at + 1 >= size || at + 1 >= 40) return 64;
    const u32 length = s->options[at + 1];
    if (length < 2 || at + length > size || at + length > 40) return 64;
    if (kind == 8 && length == 10 && f->flags & flow_timestamps) {
        u8* o = s->options + at;
        if (at > 30) return 64;
        u32 tsval = (u32)o[2] << 24 | (u32)o[3] << 16 | (u32)o[4] << 8 | o[5];
        u32 tsecr = (u32)o[6] << 24 | (u32)o[7] << 16 | (u32)o[8] << 8 | o[9];
        tsval += f->tsval_delta;
        tsecr += f->tsecr_delta;
        o[2] = tsval >> 24, o[3] = tsval >> 16, o[4] = tsval >> 8, o[5] = tsval;
        o[6] = tsecr >> 24, o[7] = tsecr >> 16, o[8] = tsecr >> 8, o[9] = tsecr;
        return at + length;
    }
    if (kind == 5 && !(f->flags & flow_blank_sack) && (length == 10 || length == 18 || length == 26 || length == 34)) {
        for (u32 edge = 0; edge < 8; ++edge) {
            const u32 place = at + 2 + 4 * edge;
            if (2 + 4 * edge >= length || place > 36) break;
            u8* o = s->options + place;
            u32 sequence = (u32)o[0] << 24 | (u32)o[1] << 16 | (u32)o[2] << 8 | o[3];
            sequence += f->acknowledgment_delta;
            o[0] = sequence >> 24, o[1] = sequence >> 16, o[2] = sequence >> 8, o[3] = sequence;
        }
        return at + length;
    }
    /* What the other end did not negotiate. */
    for (u32 i = 0; i < 40; ++i) {
        if (i >= length || at + i >= 40) break;
        s->options[at + i] = 1;
    }
    return at + length;
}

/* Options in any order. Returns the change of the sum; all of the options begin at an even place, so it is one sum. */
CHECKED_ONCE u64 rewrite_options(struct __sk_buff* skb, u32 at, u32 size, const struct flow* f) {
    struct scratch* s = scratch();
    if (!s || !f || size < 4 || size > 40) return 0;
    __builtin_memset(s->options, 0, sizeof s->options);
    if (bpf_skb_load_bytes(skb, at, s->options, size)) return 0;
    __builtin_memcpy(s->options_before, s->options, sizeof s->options);
    u32 next = 0;
    for (int i = 0; i < 40 && next < size; ++i) next = rewrite_option(s, next, size, f);
    const __s64 sum = bpf_csum_diff((__be32*)s->options_before, 40, (__be32*)s->options, 40, 0);
    if (sum < 0 || bpf_skb_store_bytes(skb, at, s->options, size, 0)) return 0;
    return (u32)sum;
}

static __always_inline u16 shifted_window(u16 window, int shift) {
    if (shift == 0) return window;
    if (shift < 0) return window >> (-shift & 15);
    const u32 wide = (u32)window << (shift & 15);
    return wide > 0xffff ? 0xffff : wide;
}

/* CHECKSUM_COMPLETE is about the hop limit of IPv6 too, and no checksum in the packet makes up for it. */
static __always_inline void take_hop_from_sum(struct __sk_buff* skb) {
    bpf_csum_update(skb, bpf_htons(0xfffe)); /* one less in the low byte of its word */
}

/* Addresses and the TTL. `pseudo`: how the sum of the addresses has changed. */
static __always_inline int rewrite_ip(struct __sk_buff* skb, const struct flow* f, int hop, const int v6, u64* pseudo) {
    void* data = (void*)(long)skb->data;
    void* end = (void*)(long)skb->data_end;
    if (v6) {
        if (data + l4_offset_v6 > end) return -1;
        struct ipv6hdr* ip = data + l3_offset;
        for (int i = 0; i < 4; ++i) {
            *pseudo = changed(*pseudo, ip->saddr.s6_addr32[i], f->source.word[i]);
            *pseudo = changed(*pseudo, ip->daddr.s6_addr32[i], f->destination.word[i]);
            ip->saddr.s6_addr32[i] = f->source.word[i];
            ip->daddr.s6_addr32[i] = f->destination.word[i];
        }
        if (hop) --ip->hop_limit;
        return 0;
    }
    if (data + l4_offset_v4 > end) return -1;
    struct iphdr* ip = data + l3_offset;
    *pseudo = changed(*pseudo, ip->saddr, f->source.word[3]);
    *pseudo = changed(*pseudo, ip->daddr, f->destination.word[3]);
    u64 header = (u64)(u16)~ip->check + *pseudo;
    ip->saddr = f->source.word[3];
    ip->daddr = f->destination.word[3];
    if (hop) {
        --ip->ttl;
        header += bpf_htons(0xfeff); /* one less in the high byte of its word */
    }
    ip->check = ~folded16(header);
    return 0;
}

static __always_inline u64 rewrite_ports(void* l4, const struct flow* f) {
    struct udphdr* h = l4;
    u32* words = l4;
    const u32 ports = words[0];
    h->source = f->source_port;
    h->dest = f->destination_port;
    return changed(0, ports, words[0]);
}

static __always_inline int replace_checksum(struct __sk_buff* skb, int at, u64 pseudo, u64 sum, int tcp, const int v6) {
    const u64 zero_is_none = tcp ? 0 : BPF_F_MARK_MANGLED_0; /* a UDP checksum of 0 says that there is none */
    const u64 addresses = BPF_F_PSEUDO_HDR | (v6 ? checksum_v6_flag : 0);
    if (bpf_l4_csum_replace(skb, at, 0, folded(pseudo), addresses | zero_is_none)) return -1;
    return bpf_l4_csum_replace(skb, at, 0, folded(sum), zero_is_none) ? -1 : 0;
}

static __always_inline int rewrite(struct __sk_buff* skb, const struct packet* p, const struct flow* f, int hop,
                                   const int v6) {
    const int l4 = v6 ? l4_offset_v6 : l4_offset_v4;
    const int tcp = p->key.protocol == IPPROTO_TCP;
    const int spliced = tcp && !(f->flags & flow_l4);
    const int plain_options = p->header == 20 || (p->has_tsval && f->flags & flow_timestamps);
    u64 sum = 0, pseudo = 0;
    if (spliced && !plain_options) sum = rewrite_options(skb, l4 + 20, p->header - 20, f);
    if (rewrite_ip(skb, f, hop, v6, &pseudo)) return -1;

    void* data = (void*)(long)skb->data;
    void* end = (void*)(long)skb->data_end;
    if (tcp) {
        if (data + l4 + sizeof(struct tcphdr) > end) return -1;
        struct tcphdr* h = data + l4;
        u32* words = data + l4;
        sum += rewrite_ports(h, f);
        if (spliced) {
            const u32 sequence = bpf_htonl(p->sequence + f->sequence_delta);
            sum = changed(sum, h->seq, sequence);
            h->seq = sequence;
            if (p->tcp_flags & tcp_ack) {
                const u32 acknowledgment = bpf_htonl(p->acknowledgment + f->acknowledgment_delta);
                sum = changed(sum, h->ack_seq, acknowledgment);
                h->ack_seq = acknowledgment;
            }
            const u16 window = bpf_htons(shifted_window(p->window, f->window_shift));
            sum = changed(sum, h->window, window);
            h->window = window;
            if (p->header == 32 && p->has_tsval && f->flags & flow_timestamps) {
                if (data + l4 + 32 > end) return -1;
                const u32 tsval = bpf_htonl(p->tsval + f->tsval_delta);
                const u32 tsecr = bpf_htonl(bpf_ntohl(words[7]) + f->tsecr_delta);
                sum = changed(sum, words[6], tsval);
                sum = changed(sum, words[7], tsecr);
                words[6] = tsval;
                words[7] = tsecr;
            }
        }
    } else {
        if (data + l4 + sizeof(struct udphdr) > end) return -1;
        sum += rewrite_ports(data + l4, f);
    }
    return replace_checksum(skb, l4 + (tcp ? tcp_check_offset : udp_check_offset), pseudo, sum, tcp, v6);
}

/* A part of a datagram. The checksum in the first one is about all of them. */
static __always_inline int rewrite_part(struct __sk_buff* skb, const struct packet* p, const struct flow* f, int hop,
                                        const int v6) {
    const int l4 = v6 ? l4_offset_v6_fragment : l4_offset_v4;
    u64 pseudo = 0;
    if (rewrite_ip(skb, f, hop, v6, &pseudo)) return -1;
    if (p->fragment == fragment_later) {
        /* No checksum in the packet makes up for what CHECKSUM_COMPLETE has of the addresses; of IPv4, the header's. */
        if (v6) bpf_csum_update(skb, folded(pseudo));
        return 0;
    }
    void* data = (void*)(long)skb->data;
    if (data + l4 + sizeof(struct udphdr) > (void*)(long)skb->data_end) return -1;
    const u64 sum = rewrite_ports(data + l4, f);
    return replace_checksum(skb, l4 + udp_check_offset, pseudo, sum, 0, v6);
}

CHECKED_ONCE int rewrite_fragment(struct __sk_buff* skb, const struct packet* p, const struct flow* f, int hop) {
    if (!p || !f) return -1;
    return p->v6 ? rewrite_part(skb, p, f, hop, 1) : rewrite_part(skb, p, f, hop, 0);
}

CHECKED_ONCE int rewrite_whole(struct __sk_buff* skb, const struct packet* p, const struct flow* f, int hop) {
    if (!p || !f) return -1;
    return p->v6 ? rewrite(skb, p, f, hop, 1) : rewrite(skb, p, f, hop, 0);
}

/* hop: the packet goes on to another machine, its TTL goes down by one. */
static __always_inline int rewrite_packet(struct __sk_buff* skb, const struct packet* p, const struct flow* f, int hop) {
    if (p->v6 && hop) take_hop_from_sum(skb);
    return p->fragment ? rewrite_fragment(skb, p, f, hop) : rewrite_whole(skb, p, f, hop);
}

/* Another number in the TCP header, at `offset` of it. */
static __always_inline int replace_number(struct __sk_buff* skb, const struct packet* p, u32 offset, u32 from, u32 to) {
    const u32 l4 = p->v6 ? l4_offset_v6 : l4_offset_v4;
    const u32 before = bpf_htonl(from), now = bpf_htonl(to);
    if (bpf_skb_store_bytes(skb, l4 + offset, &now, sizeof now, 0)) return -1;
    return bpf_l4_csum_replace(skb, l4 + tcp_check_offset, before, now, sizeof now) ? -1 : 0;
}

/* The local socket must not hear of what it never sent. */
static __always_inline int hold_acknowledgment(struct __sk_buff* skb, struct packet* p, u32 highest) {
    if (!(p->tcp_flags & tcp_ack) || !after(p->wire_acknowledgment, highest)) return 0;
    if (replace_number(skb, p, 8, p->wire_acknowledgment, highest)) return -1;
    p->wire_acknowledgment = highest;
    return 0;
}

/* The sequence number of a segment without data: its sender goes on past the local socket, for which a number beyond the
 * window makes the whole segment unacceptable (RFC 9293 section 3.10.7.4), the acknowledgement too. The translation for
 * the other end, which follows, begins with p->sequence. */
static __always_inline int hold_sequence(struct __sk_buff* skb, const struct packet* p, u32 next) {
    return after(p->sequence, next) ? replace_number(skb, p, 4, p->sequence, next) : 0;
}

#endif
