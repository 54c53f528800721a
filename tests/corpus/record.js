'use strict';
// Records what Node answers, for the tests of `is_ip`, `SocketAddress` and `BlockList`.
//
//   node record.js                                      writes the three stored files beside this one
//   node record.js --print NAME [--seed N] [--cases N]  prints another corpus of one kind
//
// Node 26 or newer, because the block list got half of its methods there: the node named by HALFCLOSE_NODE, else the one
// that runs this. One case a line, its fields separated by tabs, the answer last. The same seed gives the same questions.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');

const OLDEST = 26;
const STORED = { seed: 1, cases: { is_ip: 2500, socket_address: 1000, block_list: 1500 } };

// --- Random questions. The generator is xorshift32: what counts is that it can be repeated.

let state = 1;

function below(limit) {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % limit;
}

const chance = (percent) => below(100) < percent;
const pick = (list) => list[below(list.length)];
const times = (count, make) => Array.from({ length: count }, make);

function octet() {
  return pick([() => below(4), () => below(256), () => below(256), () => pick(['255', '256', '00', '01', '300', '1000', ''])])();
}

// Half of the addresses come from a few small neighbourhoods, so that rules and questions meet.
function ipv4() {
  return chance(60) ? `${pick([1, 10])}.${below(2)}.${below(3)}.${below(256)}` : times(4, () => below(256)).join('.');
}

const group = () => pick([() => '0', () => '0', () => below(0x10000).toString(16), () => below(16).toString(16),
  () => below(0x10000).toString(16).padStart(4, '0').toUpperCase(), () => 'ffff'])();

function ipv6() {
  switch (below(7)) {
    case 0: return `2001:db8::${below(0x20).toString(16)}`;
    case 1: return `::ffff:${ipv4()}`;
    case 2: return `::ffff:${group()}:${group()}`;
    case 3: return `::${ipv4()}`;
    case 4: return pick(['::', '::1', '::ffff:0:0', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'fe80::1', '1::']);
    case 5: return times(8, group).join(':');
    default: {
      const count = below(8);
      const cut = below(count + 1);
      const groups = times(count, group);
      return `${groups.slice(0, cut).join(':')}::${groups.slice(cut).join(':')}`;
    }
  }
}

// Groups, double colons, tails and zones, put together without asking whether that makes sense.
function structure() {
  if (chance(25)) return times(chance(80) ? 4 : 3 + below(3), octet).join('.');
  let text = times(chance(50) ? 8 : below(10), group).join(':');
  if (chance(50)) text = text.replace(/:/g, (colon) => chance(20) ? '::' : colon);
  if (chance(30)) text = pick(['::', ':', '']) + text;
  if (chance(25)) text += pick(['::', ':', '']);
  if (chance(25)) text += (chance(80) ? ':' : '') + times(4, octet).join('.');
  // Not on long ones: Node cuts an address before a zone after 39 letters, and reads another one.
  if (chance(25) && text.length < 39) text += zone();
  return text;
}

const zone = () => pick(['%lo', '%eth0.1', '%1', '%', '%%', '%a_b', '%a b', '%A-Z:0', '%é']);

const ALPHABET = [...'0123456789abcdefABCDEFgGxX:::...%/ []-_+\n\t\u00e9\uff11'];

function damage(text) {
  for (let count = 1 + below(2); count > 0; count--) {
    const at = below(text.length + 1);
    const letter = pick(ALPHABET);
    text = pick([
      () => text.slice(0, at) + letter + text.slice(at),
      () => text.slice(0, at) + letter + text.slice(at + 1),
      () => text.slice(0, at) + text.slice(at + 1),
    ])();
  }
  return /^.{40,}%/s.test(text) ? text.replace(/%/g, '') : text;
}

function address() {
  const good = chance(50) ? ipv4() : ipv6();
  if (chance(4)) return damage(good);
  return chance(4) && good.includes(':') && good.length < 39 ? good + zone() : good;
}

// --- Answers.

const familyOf = (text) => text.includes(':') ? 'ipv6' : 'ipv4';

function attempt(call) {
  try {
    return call() ?? 'ok';
  } catch (error) {
    return `${error.code ?? error.name}: ${error.code === undefined ? '' : error.message}`;
  }
}

function recordIsIp(cases) {
  const fixed = ['', '0.0.0.0', '255.255.255.255', '256.1.1.1', '01.1.1.1', '1.1.1', '1.1.1.1.1', ' 1.1.1.1', '1.1.1.1 ',
    '1.1.1.1\n', '1.1.1.1%lo', '127.1', '0x7f.1.1.1', '::', ':', ':::', '::1', '1::', '1:2:3:4:5:6:7::',
    '::2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8::', '::1:2:3:4:5:6:7:8', '1::2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9', '1::2::3', '12345::', 'g::', '::1.2.3.4', '1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:7:1.2.3.4',
    '1:2:3:4:5::1.2.3.4', '1.2.3.4::', '::1.2.3.4:5', '::01.2.3.4', '::1.2.3', '::1.2.3.256', '::%', '::%eth0', 'fe80::1%eth_0',
    'fe80::1%eth0@1', 'fe80::1%a%b', '::1%a-b.c:d', '[::1]', '::1/64', '::1\n', '\n::1', '::1%\n', '::1%a\n', 'FE80::ABCD',
    '::1%\u0131', '\u0661.1.1.1', 'localhost', '::ffff:1.2.3.4%1', '1:', ':1', '1:2:3:4:5:6:7:', ':2:3:4:5:6:7:8'];
  return fixed.concat(times(cases - fixed.length, () => {
    const text = pick([structure, structure, ipv4, ipv6])();
    return chance(35) ? damage(text) : text;
  })).map((text) => [text, net.isIP(text)]);
}

function recordSocketAddress(cases) {
  const lines = [];
  const made = (options) => {
    const answer = attempt(() => JSON.stringify(new net.SocketAddress(options)));
    const { address = '-', family = '-', port = 0, flowlabel = 0 } = options;
    lines.push(['new', address, family, port, flowlabel, answer]);
  };
  const parsed = (text) => {
    lines.push(['parse', text, JSON.stringify(net.SocketAddress.parse(text)) ?? 'undefined']);
  };
  made({});
  made({ family: 'ipv4', port: 65535, flowlabel: 5 });
  made({ family: 'ipv6', port: 1, flowlabel: 0xfffff });
  for (const address of ['127.1', '01.1.1.1', '1.1.1.1%lo', '::1', '', 'localhost']) made({ family: 'ipv4', address });
  for (const address of ['1.1.1.1', '0:0::1', '::1:9', '::0.1.0.0', '::1.0.0.0', '::9', '::ffff:0:0', '::fffe:1.2.3.4',
    '64:ff9b::1.2.3.4', '1:0:0:2:0:0:3:4', '0:0:1:2:3:4:0:0', '1:0:2:3:4:5:6:7', '1:2:3:4:5:6:0:0', '0:1:2:3:4:5:6:7',
    'FE80::ABCD%eth0', 'fe80::1%', 'fe80::1%%', 'fe80::1%a b', '[::1]', '']) made({ family: 'ipv6', address });
  for (const text of ['', ':', ':1', '[]', '[', ']', '1.2.3.4', '1.2.3.4:', '1.2.3.4:0', '1.2.3.4:80', '1.2.3.4:0443', '1.2.3.4:65535',
    '1.2.3.4:65536', '1.2.3.4:+1', '1.2.3.4:-1', '1.2.3.4:1 ', ' 1.2.3.4:1', '1.2.3.4 :1', '1.2.3.4:1:2', '1.2.3.4:\n1', '1.2.3.4:1\n',
    '1.2.3.4\t', '1.2.3.4:99999999999999999999', '1.2.3.4:\uff11', '::1', '[::1]', '[::1]:', '[::1]:80', '[::1]:443',
    '[::1]:0', '[::1]1', '[::1]]:1', '[[::1]:1', '[::1', '::1]', '[::1%lo]', '[::1%25lo]:1', '[1.2.3.4]', '[1.2.3.4]:5',
    '[::ffff:1.2.3.4]:5', '[::1.2.3.4]:5', '[::FFFF:102:304]:5', '256', '010.0.0.1', '1.2.3', '0x7f.1', '1.2.3.4.', '1.2.3.4/',
    '1.2.3.4:5/x', '1.2.3.4:5\\x', '1.2.3.4:5?x', '1.2.3.4:5#x', 'user@1.2.3.4:5', 'user:pw@[::1]:5', '\uff11.2.3.4:5',
    'localhost', 'localhost:80', 'a.b:1', '1.2.3.256', '1.2.3.4x', '%31.2.3.4:5']) parsed(text);
  while (lines.length < cases) {
    if (chance(50)) {
      const text = chance(15) ? structure() : address();
      const family = chance(90) ? familyOf(text) : pick(['ipv4', 'ipv6']);
      // No greater label: those of more than 20 bits abort Node.
      made({ address: text, family, port: below(65536), flowlabel: chance(30) ? below(0x100000) : 0 });
    } else {
      const text = address().replace(/%.*/s, '');
      const host = text.includes(':') ? `[${text}]` : text;
      const whole = host + pick(['', `:${below(65536)}`, `:${below(65536)}`, `:${below(70000)}`, ':', ':80']);
      parsed(chance(25) ? damage(whole) : whole);
    }
  }
  return lines;
}

function prefix(text) {
  const longest = text.includes(':') ? 128 : 32;
  return chance(3) ? longest + 1 + below(100) : pick([0, 8, longest / 2, longest - 4, longest - 1, longest, below(longest + 1)]);
}

const cidr = () => {
  const text = address();
  const end = chance(92) ? prefix(text) : pick(['', '08', 'x', '-1', '-0', '+1', '1.5', '4294967296', '4294967297',
    '100000000000000000000', '9007199254740993', ' 8', '1e1', `${prefix(text)}/8`]);
  return `${text}${chance(98) ? '/' : ''}${end}`;
};

function ruleText() {
  const text = address();
  const family = chance(95) ? (text.includes(':') ? 'IPv6' : 'IPv4') : pick(['IPv4', 'IPv6', 'ipv6', 'IPv5']);
  const other = chance(90) ? (family === 'IPv4' ? ipv4 : ipv6)() : address();
  let line = pick([`Address: ${family} ${text}`, `Subnet: ${family} ${text}/${prefix(text)}`, `Range: ${family} ${text}-${other}`]);
  if (chance(10)) line += pick([' ', '5', 'x', '/8', '-', ' IPv6', ' IPv4', '.1']);
  if (chance(10)) line = pick([' ', 'IPv6', 'x', 'Address: IPv4 ', 'Address: IPv6 ', 'Subnet: ']) + line;
  if (chance(5)) line = line.toLowerCase();
  if (chance(5)) line = line.toUpperCase();
  return chance(5) ? damage(line) : line;
}

function recordBlockList(cases) {
  const lines = [];
  let list;
  let known = [];
  const call = (name, method, shown, values) => {
    // What fails is tried on another list: Node may keep a part of it, and this crate does not.
    const answer = attempt(() => new net.BlockList()[method](...values));
    if (answer === 'ok') list[method](...values);
    lines.push([name, ...shown, answer]);
  };
  const operations = {
    add_address: (text) => call('add_address', 'addAddress', [text], [text, familyOf(text)]),
    add_addresses: (...texts) => call('add_addresses', 'addAddresses', texts, [texts, familyOf(texts[0])]),
    add_range: (start, end) => call('add_range', 'addRange', [start, end], [start, end, familyOf(start)]),
    add_subnet: (text, bits) => call('add_subnet', 'addSubnet', [text, bits], [text, bits, familyOf(text)]),
    add_cidr: (text) => call('add_cidr', 'addCIDR', [text], [text]),
    add_cidrs: (...texts) => call('add_cidrs', 'addCIDRs', texts, [texts]),
    remove_address: (text) => call('remove_address', 'removeAddress', [text], [text, familyOf(text)]),
    remove_range: (start, end) => call('remove_range', 'removeRange', [start, end], [start, end, familyOf(start)]),
    remove_subnet: (text, bits) => call('remove_subnet', 'removeSubnet', [text, bits], [text, bits, familyOf(text)]),
    remove_cidr: (text) => call('remove_cidr', 'removeCIDR', [text], [text]),
    add_rules: (...texts) => call('add_rules', 'fromJSON', texts, [texts]),
    from_json: (text) => call('from_json', 'fromJSON', [text], [text]),
  };
  const check = (text) => lines.push(['check', text, list.check(text, familyOf(text))]);
  const listing = () => {
    // Node leaves the order of addresses open.
    const addresses = list.rules.filter((rule) => rule.startsWith('Address')).sort();
    lines.push(['rules', ...addresses, ...list.rules.slice(addresses.length)], ['size', list.size]);
  };
  const fresh = () => {
    list = new net.BlockList();
    known = [];
    lines.push(['new']);
  };

  fresh();
  for (const text of ['::ffff:9.9.9.9', '9.9.9.9', '::9.9.9.8', '::9', 'fe80::1%lo', 'x', '']) operations.add_address(text);
  for (const bits of [0, 1, 79, 80, 81, 95, 96, 97, 104, 128]) {
    fresh();
    operations.add_subnet(pick(['::', '::ffff:10.0.0.0']), bits);
    ['0.0.0.0', '10.0.0.0', '10.0.0.1', '11.0.0.1', '138.0.0.1', '::1', '1::', '::fffe:0:0', '::ffff:10.0.0.0'].forEach(check);
  }
  for (const [start, end] of [['::', 'ffff::'], ['::ffff:0:0', '::ffff:ffff:ffff'], ['::', '::ffff:1.1.1.9'],
    ['::ffff:1.1.1.1', '::ffff:1.1.1.9'], ['::ffff:1.1.1.1', 'ffff::'], ['1.1.1.1', '1.1.1.9'], ['1.1.1.1', '::5'], ['::5', '1.1.1.1']]) {
    fresh();
    operations.add_range(start, end);
    ['1.1.1.1', '1.1.1.5', '1.1.1.10', '::ffff:1.1.1.5', '::ffff:1.1.1.10', '::1'].forEach(check);
  }
  for (const start of ['1.1.1.9', '255.255.255.255', '2001:db8::1:1234', '2001:db8::11:1234', '2001:db8::111:1234',
    'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff']) operations.add_range(start, familyOf(start) === 'ipv4' ? '1.1.1.1' : '::');
  for (const text of ['x', "a'b", 'a\'"b', 'a\'"`b', 'a\'"${b', 'a\\b\t\u0007\u007f\u009f\u00e9', 'x'.repeat(126), 'x'.repeat(127), 'x'.repeat(200), '::/8/8']) {
    operations.add_cidr(text);
  }
  for (const bits of ['-0', '-1', '00', '1.0', '4294967295', '4294967296', '4294967297', '-4294967296', '-4294967297',
    '9007199254740993', '99999999999999990000', '99999999999999980000', '100000000000000000000', '999999999999999900000',
    '999999999999999999999', '1000000000000000000000']) operations.add_cidr(`::/${bits}`);
  fresh();
  for (const text of ['Address: IPv4 1.1.1.1234', 'Address: IPv4 999.1.1.1', 'Address: IPv4 1.1.1.1/8', 'Subnet: IPv4 1.1.1.1/245',
    'Subnet: IPv4 1.1.1.1/99', 'Subnet: IPv4 1.1.1.1/', 'subnet: ipv6 ::/8', 'subnet: ipv6 ::/8 IPv6', 'SUBNET: IPv6 ::/0128',
    'xAddress: IPv4 x Address: IPv4 1.2.3.4x', 'Range: IPv4 1.1.1.1-1.1.1.9-', 'Range: IPv4 1.1.1.9-1.1.1.1', 'Address: IPv6 1.2.3.4',
    'Address: IPv6 ::ffff:1.2.3.4', `Address: IPv6 ${'0'.repeat(45)}`, `Subnet: IPv6 ${'0'.repeat(46)}/8`, 'Address: IPv4 ', '',
    'Address: IPv6 ::1 Address: IPv4 1.1.1.1', 'Subnet: IPv6 ::/8 Range: IPv4 1.1.1.1-1.1.1.2', 'Addre\u017f\u017f: IPv6 ::1']) {
    operations.add_rules(text);
  }
  for (const text of ['[]', ' [ ] ', '\r\n\t[ "Address: IPv4 1.2.3.4" ,\n"Address: IPv6 ::1" ]', '["\\u0041ddress: IPv4 1.2.3\\u002e5"]',
    '["\\"\\\\\\/\\b\\f\\n\\r\\tAddress: IPv4 1.2.3.6"]', '["\\ud83d\\ude00 Address: IPv4 1.2.3.7 \\ud83d"]',
    '["\\ud83d\\u0041ddress: IPv4 1.2.3.8"]', '', ' ', '[', '["', '["a', '["a\\', '["a\\u12"]', '["a\\x"]', '["a\nb"]', '["a",]',
    '[,]', '["a" "b"]', '["a"] x', '["a"', '\ufeff[]', '\u00a0[]', '{}', 'null', '"a"', '5', '[5]', '[null]', '[["a"]]',
    '["a",{}]', '[true]', "['a']", '["Address: IPv4 999.1.1.1"]']) operations.from_json(text);
  listing();

  const remembered = (make) => chance(60) && known.length > 0 ? pick(known) : make();
  const steps = [
    () => known.push([address()]) && operations.add_address(known.at(-1)[0]),
    () => operations.add_addresses(...times(1 + below(4), chance(50) ? ipv4 : ipv6)),
    () => {
      const start = address();
      const make = start.includes(':') ? ipv6 : ipv4;
      const ends = chance(95) ? [start, make()] : [start, address()];
      // Most of the time in an order that Node takes.
      const probe = new net.BlockList();
      if (chance(90) && attempt(() => probe.addRange(...ends, familyOf(start))) !== 'ok') ends.reverse();
      known.push(ends);
      operations.add_range(...ends);
    },
    () => {
      const text = address();
      known.push([text, prefix(text)]);
      operations.add_subnet(...known.at(-1));
    },
    () => known.push([cidr()]) && operations.add_cidr(known.at(-1)[0]),
    () => operations.add_cidrs(...times(1 + below(3), cidr)),
    () => operations.add_rules(...times(1 + below(3), ruleText)),
    () => operations.from_json(JSON.stringify(chance(50) ? list.rules.slice(-3) : times(1 + below(3), ruleText))),
    () => {
      const rule = remembered(() => [address()]);
      if (rule.length === 1) (String(rule[0]).includes('/') ? operations.remove_cidr : operations.remove_address)(rule[0]);
      else if (typeof rule[1] === 'number') operations.remove_subnet(...rule);
      else operations.remove_range(...rule);
    },
    listing,
  ];
  while (lines.length < cases) {
    if (chance(4)) fresh();
    if (chance(50)) pick(steps)();
    else check(chance(50) ? address() : String(remembered(() => [address()])[0]).replace(/\/.*/s, ''));
  }
  return lines;
}

// --- Writing.

const escaped = (field) => String(field).replace(/[\\\u0000-\u001f\u007f-\u009f]/g, (letter) => {
  return letter === '\\' ? '\\\\' : `\\x${letter.charCodeAt(0).toString(16).padStart(2, '0')}`;
});

function corpus(name, seed, cases) {
  state = seed;
  const record = { is_ip: recordIsIp, socket_address: recordSocketAddress, block_list: recordBlockList }[name];
  return record(cases).map((fields) => `${fields.map(escaped).join('\t')}\n`).join('');
}

function main() {
  const named = process.env.HALFCLOSE_NODE;
  if (named !== undefined) {
    const { HALFCLOSE_NODE, ...env } = process.env;
    process.exit(spawnSync(named, process.argv.slice(1), { env, stdio: 'inherit' }).status ?? 1);
  }
  if (Number(process.versions.node.split('.')[0]) < OLDEST) {
    console.error(`this is Node ${process.versions.node}; it takes ${OLDEST} or newer, on the PATH or in HALFCLOSE_NODE`);
    process.exit(1);
  }
  const option = (name) => process.argv[process.argv.indexOf(name) + 1];
  if (process.argv.includes('--print')) {
    const name = option('--print');
    const seed = process.argv.includes('--seed') ? Number(option('--seed')) : STORED.seed;
    const cases = process.argv.includes('--cases') ? Number(option('--cases')) : STORED.cases[name];
    // Not process.stdout, which may still have to write when the process ends.
    fs.writeFileSync(1, corpus(name, seed, cases));
    return;
  }
  for (const [name, cases] of Object.entries(STORED.cases)) {
    fs.writeFileSync(path.join(__dirname, `${name}.txt`), corpus(name, STORED.seed, cases));
  }
}

main();
