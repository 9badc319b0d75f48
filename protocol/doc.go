// Package protocol is hedgerow's wire format, version 1, as pure functions:
// bytes in, values out. It knows no keys: packets come to it unmasked, and
// inners opened. docs/PROTOCOL.md is the long form of this page, with the
// cryptography.
//
// Integers are big-endian; sizes are in bytes; a|b is b behind a. A parser
// accepts exactly the bytes of its value: it fails when bytes are missing or left
// over, except where padding is named.
//
// # Packets
//
// One datagram is one packet (or a STUN message, which is recognised before).
// Each packet has a header of 16 bytes:
//
//	0        1     2     3     4            8               16
//	+--------+-----+-----+-----+------------+----------------+
//	| V|TYPE | XF  | KI  | FL  |   RX u32   |    CTR u64     |
//	+--------+-----+-----+-----+------------+----------------+
//
// V is 1 in the top 3 bits. XF is the transform, KI the key index (255 none).
// FL: 1 came from another supernode, 2 flood except to the DIRECT set; a packet
// with another flag is dropped.
//
//	 1 INIT    192  hdr | e 32 | static 48 | payload 64 | mac1 16 | mac2 16
//	 2 RESP    128  hdr | e 32 | payload 48 | mac1 16 | mac2 16
//	 3 COOKIE   72  hdr | nonce 24 | sealed cookie 32
//	 4 DATA         hdr | sealed inner | tag 16
//	 5 GROUP        hdr | salt 16 | sealed inner | tag 16 | random 8
//	 6 RELAY        hdr | hop tag 16 | packet         CTR = handle u32 | counter u32;
//	                from a supernode the packet is veiled
//	 7 RESET    32  hdr | token 16
//	 8 NOTICE   48  hdr | n u8 | key index 8 | zero 7 | mac 16
//	 9 HELLO    96  hdr | zero 64 | nonce 16
//	10 WELCOME  96  hdr | nonce 16 | X25519 key 32 | random 32
//
//	INIT payload 48: stamp u64, features u32, vmin u8, vmax u8, flags u16,
//	                 MAC 6, MTU u16, challenge 16, zero 8
//	RESP payload 32: features u32, version u8, flags u8 (1 CHALLENGE),
//	                 MTU u16, MAC 6, challenge 16, zero 2
//
// # The inner of DATA and GROUP
//
//	b0 | [csum start u8, offset u8] | [TCI u16] | body | [padding, length u16]
//
//	b0 bits 7-6  kind: 0 frame, 1 elided frame, 2 control, 3 fragment
//	        5-4  elided form: 0 IPv4, 1 IPv6, 2 and 3 the same with a TCI
//	          3  the transport checksum is partial: start and offset follow
//	          2  padded: the last two bytes are the padding's length with them
//	        1-0  compression, always 0
//
// An elided frame has no Ethernet header; the receiver knows both addresses. A
// fragment's body is a byte (top bit: last piece; the rest: index) and a piece.
// The pieces of one inner have consecutive counters and, but for the last, one
// size.
//
// # Control messages
//
// A control body is a run of {type u8, length u16, value}. Unknown types below
// 0x80 are skipped; one from 0x80 on drops the body. addr is family u8 (4 or
// 6), the IP address, port u16; family 0 alone is none. prefix is family u8,
// the IP address, its network's prefix length u8. pad is zeros up to the value's
// end.
//
//	01 PING        nonce 8, gen u32, path u8, pad
//	02 PONG        nonce 8, seen addr or none, highest u64, received u32, pad
//	03 CAND        gen u32, {kind u8, addr} <= 16
//	04 CALL        gen u32, sent u32, mapping u8, n u8 <= 16, port u16 n times, {kind u8, addr} <= 16
//	05 CALLACK     echo u32, then as CALL
//	06 GO          gen u32, delay u16 ms
//	07 SALT        XF u8, KI u8, salt 16, lowest u64, serial u64
//	08 KEYUPDATE   version u64, KI u8, XF u8, from u64, until u64, key 32, signature 64
//	09 HOSTS       seq u32, flags u8 (1 first, 2 last), {VLAN u16 (8000 gone), MAC 6, moves u16} <= 128
//	0a CLOSE       reason u8
//	0b ABOUT       n u8 <= 63, name n, prefix <= 8
//	0c FORWARD     edge 32, packet
//	0d FORWARDED   edge 32, packet
//	0e STATEMENT   statement 166, or nothing: asks for it
//	10 SEGMENT     serial u64, state u8, flags u8 (1 forget, 2 ask), {role u8, X25519 key 32} <= 16
//	11 HOSTASK     seq u32, {VLAN u16, MAC 6, since u32 ms} <= 64
//	12 HOSTIS      seq u32, {VLAN u16, MAC 6, flags u8, ago u32 ms} <= 64
//	13 ROUTES      serial u64, flags u8 (1 ask), prefix <= 32
//	20 REGISTER    members
//	21 ACK         members
//	22 NAK         members
//	23 QUERY       members: 5 or 13 or none
//	24 PEER_INFO   members
//	25 PUNCH       handle u32, [seen addr, delay u16 ms]
//	26 UNREGISTER  nothing
//	27 LOAD        edges u32, percent u32
//	28 WHOAMI      nonce 8, pad
//	29 SEEN        nonce 8, addr
//	2a DIRECT      handle u32 <= 400
//	30 ANNOUNCE    statement 166, port u16
//
// Members are {type u8, length u16, value} too, each at most once but 7 and 17:
//
//	1 CID 16            8 features u32          15 lease: prefix, seconds u32
//	2 rendezvous key 32 9 membership proof 64   16 reset token 16
//	3 name hash 32     10 statement 166         17 supernode: addr, key 32
//	4 name             11 token                 18 edges with another key u32
//	5 MAC 6            12 n u8, user n, password 19 code u8
//	6 prefix           13 handle u32            20 retry u16 s
//	7 candidate addr   14 seen addr             21 members u32
//	22 TURN server: addr, n u8, user n, password
package protocol
