import {describe, expect, it} from 'vitest';
import {redact} from '../../../src/lib/base/redact.js';

describe('redact', () => {
  it.each([
    ['postgresql://shop:s3cret@db:5432/shop', 'postgresql://shop:***@db:5432/shop'],
    ['postgres://shop:p%40ss%2Fw@db/shop?x=1', 'postgres://shop:***@db/shop?x=1'],
    ['POSTGRESQL://shop:s3cret@db/shop', 'POSTGRESQL://shop:***@db/shop'],
    ['postgresql://shop:bare@sign@db/shop', 'postgresql://shop:***@db/shop'],
    ['postgresql://shop:a/b?c@db/shop', 'postgresql://shop:***@db/shop'],
    ["postgresql://o'brien:'s3'cret'@db/shop", "postgresql://o'brien:***@db/shop"],
    ['postgresql://:s3cret@db/shop', 'postgresql://:***@db/shop'],
    [
      'from postgresql://a:one@h/d to postgresql://b:two@h/d',
      'from postgresql://a:***@h/d to postgresql://b:***@h/d',
    ],
    ['"url":"postgresql://a:one@h/d","x":"y@z"', '"url":"postgresql://a:***@h/d","x":"y@z"'],
    ['https://user:token@hooks.example/x', 'https://user:***@hooks.example/x'],
    ["host=db password='it\\'s' user=shop", 'host=db password=*** user=shop'],
    ["ALTER ROLE shop PASSWORD 'it''s' NOLOGIN", 'ALTER ROLE shop PASSWORD *** NOLOGIN'],
    ['host=db password=s3cret user=shop', 'host=db password=*** user=shop'],
    ['PGPASSWORD=s3cret pg_dump', 'PGPASSWORD=*** pg_dump'],
    [
      'postgresql://db/shop?user=a&password=s3cret&sslmode=require',
      'postgresql://db/shop?user=a&password=***&sslmode=require',
    ],
    ['postgresql://db/shop?sslpassword=s3cret', 'postgresql://db/shop?sslpassword=***'],
    [
      `ALTER DATABASE shop SET "app.settings.jwt_secret" TO E'it''s \\'s3cret';`,
      'ALTER DATABASE shop SET "app.settings.jwt_secret" TO ***;',
    ],
    ["OPTIONS (user 'u', api_token 's3cret')", "OPTIONS (user 'u', api_token ***)"],
    ["app.settings.api_key='s3cret'", 'app.settings.api_key=***'],
  ])('%s', (text, masked) => {
    expect(redact(text)).toBe(masked);
  });

  it.each([
    'postgresql://shop@db:5432/shop',
    'password authentication failed for user "shop"',
    'mail a@b.example, see https://example.org/x@y',
    'table "passwords" has 3 rows',
    "SET search_path TO 'tokens', 'public'",
  ])('does not change %s', (text) => {
    expect(redact(text)).toBe(text);
  });
});
