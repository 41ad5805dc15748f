/** How a client says who it is to a token endpoint, and in how many places. */

/** A client an authorization server knows. */
export interface KnownClient {
  id: string;
  secret?: string | undefined;
  /** The one way it may authenticate. */
  method: string;
  redirectUris: string[];
}

/** What a token request holds of that. `both`: in header and body, which is a mistake (RFC 6749 §2.3). */
export interface Presented {
  id: string;
  secret: string | undefined;
  method: string;
}

/** Reads it. `client_secret` that is there but empty counts as presented in the body. */
export function readPresented(
  form: URLSearchParams,
  authorization: string | undefined,
  decodesBasic: boolean,
): Presented {
  const [, encoded] = /^Basic (.+)$/.exec(authorization ?? '') ?? [];
  const inBody = form.get('client_secret') ?? undefined;
  if (encoded === undefined) {
    const method = inBody === undefined ? 'none' : 'client_secret_post';
    return { id: form.get('client_id') ?? '', secret: inBody, method };
  }
  const [id = '', ...rest] = Buffer.from(encoded, 'base64').toString().split(':');
  const decode = (text: string) => (decodesBasic ? decodeURIComponent(text.replaceAll('+', ' ')) : text);
  const method = inBody === undefined && !form.has('client_id') ? 'client_secret_basic' : 'both';
  return { id: decode(id), secret: decode(rest.join(':')), method };
}
