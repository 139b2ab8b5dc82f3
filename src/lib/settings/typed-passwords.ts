/** Passwords that the user typed, for the life of the program. */

/** The owner of a password: one role on one server. */
interface Login {
  readonly user: string;
  readonly host: string;
  readonly port: number;
}

export interface TypedPasswords {
  /** The password typed for this login. */
  known(login: Login): string | undefined;
  /** Asks for the password, once; returns whether there was an answer. */
  ask(login: Login): Promise<boolean>;
}

/** @param ask returns the typed text, which may be empty */
export function createTypedPasswords(ask: (question: string) => Promise<string>): TypedPasswords {
  const known = new Map<string, string>();
  const asked = new Map<string, Promise<boolean>>();
  const nameOf = ({user, host, port}: Login): string => `${user} at ${host}:${port}`;
  return {
    known: (login) => known.get(nameOf(login)),
    ask: (login) => {
      // Concurrent sessions share one question.
      const name = nameOf(login);
      const answer =
        asked.get(name) ??
        ask(`Password for ${name}: `).then((password) => {
          if (password !== '') known.set(name, password);
          return password !== '';
        });
      asked.set(name, answer);
      return answer;
    },
  };
}
