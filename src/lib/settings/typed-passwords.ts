/** Passwords that somebody typed in, for as long as the program runs. */

/** Whose password it is: one role's on one server. */
interface Login {
  readonly user: string;
  readonly host: string;
  readonly port: number;
}

export interface TypedPasswords {
  /** What was typed in for this login. */
  known(login: Login): string | undefined;
  /** Asks for it, once; whether there was an answer. */
  ask(login: Login): Promise<boolean>;
}

/** @param ask returns what was typed, which may be nothing */
export function createTypedPasswords(ask: (question: string) => Promise<string>): TypedPasswords {
  const known = new Map<string, string>();
  const asked = new Map<string, Promise<boolean>>();
  const nameOf = ({user, host, port}: Login): string => `${user} at ${host}:${port}`;
  return {
    known: (login) => known.get(nameOf(login)),
    ask: (login) => {
      // Sessions that open side by side share one question.
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
