/** `['candidates', 0, 'traffic']` → `candidates[0].traffic`. */
export function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    const plain = /^[A-Za-z_][A-Za-z0-9_]*$/.test(String(part));
    if (!plain) return `${text}[${JSON.stringify(String(part))}]`;
    return text === '' ? String(part) : `${text}.${String(part)}`;
  }, '');
}

/** The inverse of `pathText`. */
export function pathParts(text: string): PropertyKey[] {
  return [...text.matchAll(/\[([0-9]+)\]|\[("(?:[^"\\]|\\.)*")\]|([^.[\]]+)/g)].map(
    ([, index, quoted, plain]) => {
      if (index !== undefined) return Number(index);
      return quoted === undefined ? (plain ?? '') : (JSON.parse(quoted) as string);
    },
  );
}
