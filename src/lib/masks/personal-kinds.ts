/** Signs of personal data: names of columns, and patterns of values. */

export type PersonalKind =
  | 'email'
  | 'phone'
  | 'name'
  | 'address'
  | 'card'
  | 'ip'
  | 'birth date'
  | 'identity number'
  | 'token'
  | 'secret';

/** The kinds of values that a column can have, by its type. */
export type TypeFamily = 'text' | 'json' | 'number' | 'date' | 'network' | 'other';

interface NameSign {
  readonly kind: PersonalKind;
  /** Matches the words of the name in lower case, joined by "_". */
  readonly pattern: RegExp;
  readonly families: readonly TypeFamily[];
}

const person =
  'customer|client|user|buyer|contact|recipient|sender|guest|member|employee|staff|author|owner|person|patient|student|driver|holder|bill|billing|ship|shipping|delivery|cliente|usuario|contacto|empleado|paciente|alumno|titular|destinatario';

/** English and Spanish, and the commonest of French and German. The first sign that matches counts. */
const nameSigns: readonly NameSign[] = [
  {
    kind: 'email',
    pattern:
      /(?:^|_)(?:e_?mails?|mails?|emailaddress|correos?(?:_electronicos?)?|courriel)(?:$|_(?!template|subject|type|status|provider|server|host))/,
    families: ['text', 'json'],
  },
  {
    kind: 'ip',
    pattern: /(?:^|_)(?:ip|ips|ip_?addr(?:ess)?|remote_addr(?:ess)?|client_addr|direccion_ip)(?:$|_)/,
    families: ['text', 'network', 'json'],
  },
  {
    kind: 'phone',
    pattern:
      /(?:^|_)(?:(?:tele|cell|mobile|smart)?phones?(?:_?n(?:umber|o|r))?|mobile|cell|tel|fax|msisdn|whatsapp|telefonos?|movil|celular|telefon|handy)(?:$|_(?!type|verified|status))/,
    families: ['text', 'number', 'json'],
  },
  {
    kind: 'birth date',
    pattern: /(?:^|_)(?:birth(?:day|date)?|dob|born|nacimiento|cumpleanos|geburtstag|geburtsdatum)(?:$|_)/,
    families: ['text', 'date', 'number', 'json'],
  },
  {
    kind: 'card',
    pattern:
      /(?:^|_)(?:card_?(?:number|no|nr)|credit_?card|cc_?(?:number|no)|pan|tarjeta(?:_credito)?|numero_tarjeta)$/,
    families: ['text', 'number', 'json'],
  },
  {
    kind: 'identity number',
    pattern:
      /(?:^|_)(?:ssn|social_security(?:_number)?|national_id|tax_?(?:id|number)|passport(?:_?(?:number|no))?|driving_licen[cs]e|licen[cs]e_number|iban|account_number|routing_number|dni|nie|nif|curp|rfc|cuit|cuil|rut|cedula|pasaporte|cuenta_bancaria)$/,
    families: ['text', 'number', 'json'],
  },
  {
    kind: 'secret',
    pattern:
      /(?:^|_)(?:pass(?:word|wd|phrase|code)?|pwd|secret|contrasena|clave_secreta|private_key)(?:$|_(?!reset|changed|type|set|expires|policy))/,
    families: ['text', 'json'],
  },
  {
    kind: 'token',
    pattern:
      /(?:^|_)(?<!level_)(?:tokens?|token_hash|api_?keys?|jwt|otp|session_key|access_key|refresh_key)$/,
    families: ['text', 'json'],
  },
  {
    kind: 'address',
    pattern:
      /(?:^|_)(?:address(?!_id|_type)|addr|street(?:_?(?:name|number))?|line_?[12]|address_?line|postal_?code|post_?code|zip(?:_?code)?|direccion(?:es)?|calle|domicilio|codigo_postal|adresse|strasse|rue|plz)(?:_?[12])?(?:$|_(?!id$|type$))/,
    families: ['text', 'json', 'number'],
  },
  {
    kind: 'name',
    pattern: new RegExp(
      `(?:^|_)(?:(?:first|last|full|middle|given|family|sur|maiden|legal|nick|display|${person})_?names?|surname|nombres?(?:_completo)?|apellidos?|apellido_(?:paterno|materno)|vorname|nachname|prenom|initials)$`,
    ),
    families: ['text', 'json'],
  },
  {kind: 'name', pattern: /^user_?name$/, families: ['text']},
];

/** Tables of people, in which "name" is a person's. */
const peopleTable = new RegExp(
  `(?:^|_)(?:${person}|people|profile|account|actor|lead|subscriber|participant|attendee|applicant|candidate|persona|perfil|doctor|teacher|profesor)(?:s|es)?$`,
);

/** "customerEmail" and "Customer-E-Mail" as "customer_email". */
function words(name: string): string {
  return name
    .normalize('NFD')
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_|_$/g, '');
}

/** The kind that the name of a column shows. */
export function kindByName(table: string, column: string, family: TypeFamily): PersonalKind | undefined {
  const name = words(column);
  const sign = nameSigns.find(({pattern, families}) => families.includes(family) && pattern.test(name));
  if (sign) return sign.kind;
  if (family === 'network') return 'ip';
  return family === 'text' &&
    /^(?:name|nombre|nom|nickname|handle|login|alias)$/.test(name) &&
    peopleTable.test(words(table))
    ? 'name'
    : undefined;
}

/** The family of a type as pg_dump writes it; types that are not known, and all of other schemas, may contain text. */
export function familyOf(type: string): TypeFamily {
  const base = type
    .replace(/^pg_catalog\./, '')
    .replace(/\(.*$/, '')
    .replace(/(?:\[\])+$/, '')
    .trim();
  if (base.includes('.')) return 'text';
  if (/^jsonb?$/.test(base)) return 'json';
  if (/^(?:smallint|integer|bigint|numeric|real|double precision|oid|money)\b/.test(base)) return 'number';
  if (/^(?:date|timestamp)\b/.test(base)) return 'date';
  if (/^(?:inet|cidr)$/.test(base)) return 'network';
  return /^(?:boolean|time|interval|uuid|bytea|bit|macaddr8?|point|line|lseg|box|path|polygon|circle|pg_lsn|tsquery|xid8?|.*range)\b/.test(
    base,
  )
    ? 'other'
    : 'text';
}

export interface ValueSign {
  readonly kind: PersonalKind;
  /** A text that every match contains; most values are excluded by it. The last character of a cheap sign's is ASCII that COPY does not escape. */
  readonly contains: string;
  readonly pattern: string;
  /** Whether the digits of a match must have a valid check digit (Luhn). */
  readonly hasCheckDigit?: boolean;
  /** Only in JSON: members of that name with a value. */
  readonly onlyJson?: boolean;
  /** Whether all rows are searched for it; only the first ones are for the others, which cost more. */
  readonly isCheap?: boolean;
}

const before = String.raw`(?:^|[\s"'(,;:=<>{}\[\]/])`;
const after = String.raw`(?:$|[\s"'),;:=<>{}\[\]/?&])`;
/** Letters of other alphabets in the names of domains, and the replacement of bytes that cannot be decoded. */
const beyondAscii = String.raw`\u00c0-\u1fff\u3041-\udfff\uf900-\ufdff\ufffd`;
const octet = '(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])';
const memberValue = String.raw`"\s*:\s*(?:"[^"]|[0-9{\[])`;
const memberNames: string[] = [];
const member = (names: string): string => {
  memberNames.push(names);
  return `"(?:[A-Za-z]*_)?(?:${names})${memberValue}`;
};

export const valueSigns: readonly ValueSign[] = [
  {
    kind: 'email',
    contains: '@',
    isCheap: true,
    pattern: String.raw`[^\s@<>"(),;:'\\/=]@[A-Za-z0-9${beyondAscii}][A-Za-z0-9.${beyondAscii}-]*\.[A-Za-z${beyondAscii}]{2}`,
  },
  {
    kind: 'token',
    contains: 'eyJ',
    isCheap: true,
    pattern: String.raw`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.`,
  },
  {
    kind: 'token',
    contains: '_',
    pattern: String.raw`(?:(?:sk|rk|pk)_(?:live|test)|gh[pousr]|whsec|xox[abp])_[0-9A-Za-z]{16,}`,
  },
  {
    kind: 'secret',
    contains: '$',
    isCheap: true,
    pattern: String.raw`[$](?:2[abxy]|argon2(?:id|i|d)|5|6|scrypt)[$][^\s"]{12,}`,
  },
  {
    kind: 'secret',
    contains: '$',
    isCheap: true,
    pattern: String.raw`(?:[$](?:1|7|y|P|H|S)[$]|pbkdf2[_:-]sha[0-9]{1,3}[:$]|scrypt:[0-9:]+[$]|SCRAM-SHA-256[$])[./A-Za-z0-9$:=+-]{20}`,
  },
  {
    kind: 'phone',
    contains: '',
    pattern: String.raw`${before}(?:\+[1-9][0-9 ().-]{6,16}[0-9]|\(?[2-9][0-9][0-9]\)?[ .-][0-9]{3}[ .-][0-9]{4})${after}`,
  },
  {kind: 'ip', contains: '.', pattern: `${before}(?:${octet}\\.){3}${octet}${after}`},
  {
    kind: 'card',
    contains: '',
    pattern: `${before}[3-6][0-9]{3}(?:[ -]?[0-9]{4}){2}[ -]?[0-9]{1,7}${after}`,
    hasCheckDigit: true,
  },
  {
    kind: 'name',
    contains: '"',
    onlyJson: true,
    pattern: member('first_?[Nn]ame|last_?[Nn]ame|full_?[Nn]ame|surname|customer_?[Nn]ame|nombre|apellidos?'),
  },
  {kind: 'phone', contains: '"', onlyJson: true, pattern: member('phone|phone_?[Nn]umber|mobile|telefono')},
  {
    kind: 'address',
    contains: '"',
    onlyJson: true,
    pattern: member('address|street|address_?[Ll]ine_?1|line1|postal_?[Cc]ode|zip|direccion|calle'),
  },
  {
    kind: 'birth date',
    contains: '"',
    onlyJson: true,
    pattern: member('birth_?[Dd]ate|birthday|dob|date_?[Oo]f_?[Bb]irth|fecha_?[Nn]acimiento'),
  },
  {
    kind: 'token',
    contains: '"',
    onlyJson: true,
    pattern: member('access_?[Tt]oken|refresh_?[Tt]oken|api_?[Kk]ey|authorization|Authorization'),
  },
  {kind: 'secret', contains: '"', onlyJson: true, pattern: member('password|passwd|secret|contrasena')},
];

/** Matches every value with a sign of a JSON member: one search for all of them costs less than two of the searches. */
export const anyMember = `["_](?:${memberNames.join('|')})${memberValue}`;

/** Whether the number in the text has a valid check digit. */
export function hasValidCheckDigit(text: string): boolean {
  const digits = text.replace(/[^0-9]/g, '');
  let sum = 0;
  for (let index = 0; index < digits.length; index++) {
    const digit = Number(digits.charAt(digits.length - 1 - index));
    sum += index % 2 === 0 ? digit : digit > 4 ? digit * 2 - 9 : digit * 2;
  }
  return digits.length >= 13 && sum % 10 === 0;
}
