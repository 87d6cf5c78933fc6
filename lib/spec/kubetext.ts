// Texts in Kubernetes' syntax: the API server accepts every text that a schema accepts here.

const LABEL_PART = '[a-z0-9](?:[a-z0-9-]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL_PART}(?:\\.${LABEL_PART})*`;
const NAME_PART = '[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?';

/** Name of an object: a DNS subdomain (RFC 1123). */
export const OBJECT_NAME = new RegExp(`^${SUBDOMAIN}$`);

/** Key of a label or an annotation: `team`, `example.com/team`. */
export const METADATA_KEY = new RegExp(`^(?:${SUBDOMAIN}/)?${NAME_PART}$`);

export const LABEL_VALUE = new RegExp(`^(?:${NAME_PART})?$`);

/** Longest name of an object. */
export const MAX_OBJECT_NAME = 253;
/** A prefix of 253 characters, `/` and a name of 63. */
export const MAX_METADATA_KEY = 317;

/**
 * A path by RFC 3986, everything else percent-encoded: only this is valid in the request line of a
 * probe.
 */
export const URL_PATH = /^\/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$/;
