/** Collects the roles and extensions that a dump names from its SQL. */

export interface DumpNeeds {
  /** Roles that own objects. */
  readonly owners: readonly string[];
  /** Owners of objects that only a superuser can own. */
  readonly superusers: readonly string[];
  /** Roles in GRANT, REVOKE and default privileges. */
  readonly grantees: readonly string[];
  /** Roles that grant something: those of default privileges, and grantors that are not the owner. */
  readonly grantors: readonly string[];
  /** Roles of policies and user mappings, which cannot be created without them. */
  readonly policyRoles: readonly string[];
  readonly extensions: readonly string[];
  /** The extensions in the dump's order, with the schema of their objects. */
  readonly installations: readonly {readonly extension: string; readonly schema: string | null}[];
}

const name = String.raw`("(?:[^"]|"")*"|[a-z_][a-z0-9_$]*)`;
const ownerLine = new RegExp(String.raw`^ALTER .* OWNER TO ${name};$`);
/** Manual, ALTER EVENT TRIGGER and ALTER FOREIGN DATA WRAPPER: "the new owner must be a superuser". */
const superuserLine = /^ALTER (?:EVENT TRIGGER|FOREIGN DATA WRAPPER) /;
const grantLine = new RegExp(
  String.raw`^(?:GRANT|REVOKE|ALTER DEFAULT PRIVILEGES) .*? (?:TO|FROM) ${name}(?: WITH GRANT OPTION)?;$`,
);
const defaultPrivilegeLine = new RegExp(String.raw`^ALTER DEFAULT PRIVILEGES FOR ROLE ${name} `);
const grantorLine = new RegExp(String.raw`^SET SESSION AUTHORIZATION ${name};$`);
const policyLine = new RegExp(
  String.raw`^CREATE POLICY .*? TO ((?:${name}(?:, )?)+)(?: USING | WITH CHECK |;)`,
);
const userMappingLine = new RegExp(String.raw`^CREATE USER MAPPING FOR ${name} SERVER `);
const extensionLine = new RegExp(
  String.raw`^CREATE EXTENSION IF NOT EXISTS ${name}(?: WITH SCHEMA ${name})?`,
);

/** Pseudo-roles that every server has. */
const keywords = new Set(['PUBLIC', 'public', 'CURRENT_USER', 'SESSION_USER', 'CURRENT_ROLE']);

/** Collects from a dump's lines, one by one, without row data. */
export function collectDumpNeeds(): {read: (line: string) => void; needs: () => DumpNeeds} {
  const owners = new Set<string>();
  const superusers = new Set<string>();
  const grantees = new Set<string>();
  const grantors = new Set<string>();
  const policyRoles = new Set<string>();
  const installations = new Map<string, string | null>();
  const add = (set: Set<string>, quoted: string | undefined): void => {
    if (quoted === undefined || keywords.has(quoted)) return;
    set.add(unquoted(quoted));
  };
  return {
    read: (line) => {
      if (line.startsWith('ALTER ')) {
        const owner = ownerLine.exec(line)?.[1];
        add(owners, owner);
        if (superuserLine.test(line)) add(superusers, owner);
      }
      if (/^(?:GRANT|REVOKE|ALTER DEFAULT) /.test(line)) {
        add(grantees, grantLine.exec(line)?.[1]);
        add(grantors, defaultPrivilegeLine.exec(line)?.[1]);
      }
      if (line.startsWith('SET SESSION ')) add(grantors, grantorLine.exec(line)?.[1]);
      if (line.startsWith('CREATE POLICY ')) {
        for (const [role] of (policyLine.exec(line)?.[1] ?? '').matchAll(new RegExp(name, 'g')))
          add(policyRoles, role);
      }
      if (line.startsWith('CREATE USER MAPPING ')) add(policyRoles, userMappingLine.exec(line)?.[1]);
      const [, extension, schema] = extensionLine.exec(line) ?? [];
      if (extension !== undefined)
        installations.set(unquoted(extension), schema === undefined ? null : unquoted(schema));
    },
    needs: () => ({
      owners: [...owners].sort(),
      superusers: [...superusers].sort(),
      grantees: [...grantees].sort(),
      grantors: [...grantors].sort(),
      policyRoles: [...policyRoles].sort(),
      extensions: [...installations.keys()].sort(),
      installations: [...installations].map(([extension, schema]) => ({extension, schema})),
    }),
  };
}

function unquoted(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
}
