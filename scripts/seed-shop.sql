-- Fills the sample shop (test/fixtures/shop-schema.sql) with as many orders as asked for. Nothing is random and nothing reads the
-- clock, so the same call gives the same rows on every machine. The functions live in pg_temp: they end with the session and are
-- in no dump. First seed_catalogue(), once; then seed_orders(first, last) and seed_catering(first, last) for ranges not yet used.

CREATE FUNCTION pg_temp.shop_id(kind text, n bigint) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$ SELECT md5(kind || n)::uuid $$;

-- Who orders. Of these 53: testers of every kind, real people who look like testers, people who never paid ("lost.cart"), customers.
CREATE FUNCTION pg_temp.shop_addresses() RETURNS text[] IMMUTABLE LANGUAGE sql AS $$ SELECT ARRAY[
  'test@gmail.com', 'TEST@Destino.example', 'demo12@yahoo.com', 'dev.test41@company.com', 'maria+test1@gmail.com',
  'jo+demo@outlook.com', 'qa@test.com', 'buyer@mail.demo.io', 'someone@example.com', 'root@localhost', 'x@shop.invalid',
  'temp@yahoo.com', 'first_dummy@proton.me', 'sample3@icloud.com', 'inbox@10minutemail.com', 'k@mailinator.com',
  'testing@shop.dev', 'fake@hotmail.com',
  'contest@gmail.com', 'latest@company.com', 'attest@law.org', 'counterexample@math.edu', 'resample@audio.fm',
  'contemp@arts.org', 'jo.testa@gmail.com', 'tester7@gmail.com', 'examples3@school.edu', 'fakenham@norfolk.uk',
  'greatest.test.kitchen@gmail.com', 'anna+testimonials@gmail.com', 'protest@demos.org',
  'lost.cart1@gmail.com', 'lost.cart2@gmail.com', 'lost.cart3@yahoo.com', 'lost.cart4@aol.com',
  'ana.gomez@gmail.com', 'luis.perez@gmail.com', 'Luis.Perez@Gmail.com', 'o''brien@gmail.com', 'zoë@müller.de',
  'mei.lin@sbcglobal.net', 'carlos@destinosf.com', 'priya.k@outlook.com', 'sam@startup.io', 'olga.v@mail.ru',
  'j.smith@stanford.edu', 'rosa@empanadas.ar', 'kenji@nihon.jp', 'events@bigcorp.com', 'office.manager@lawfirm.com',
  'hr+lunch@bigcorp.com', 'd.costa@uol.br', 'grace@church.org'] $$;

-- Past one round of addresses and states (53 * 12) the local part gets a number: no tester becomes a person, nor the reverse.
CREATE FUNCTION pg_temp.shop_address(n bigint) RETURNS text IMMUTABLE LANGUAGE sql AS $$
  SELECT CASE WHEN n < 636 THEN address ELSE replace(address, '@', n / 636 || '@') END
  FROM (SELECT (pg_temp.shop_addresses())[1 + n % 53] AS address) AS chosen $$;

-- Twelve states an order can be in; people with lost carts only ever fail, cancel or wait.
CREATE FUNCTION pg_temp.shop_state(n bigint) RETURNS integer IMMUTABLE LANGUAGE sql AS $$
  SELECT CASE WHEN n % 53 BETWEEN 31 AND 34 THEN 8 + n % 4 ELSE n % 12 END::integer $$;

CREATE FUNCTION pg_temp.shop_time(n bigint) RETURNS timestamp IMMUTABLE LANGUAGE sql AS $$
  SELECT timestamp '2025-01-01 08:00:00.001' + (n % 400) * interval '39 hours 59 minutes 57.089 seconds' + (n / 400) * interval '1.003 seconds' $$;

-- What the payment service sent: numbers that JavaScript would round, trailing zeros, text that breaks careless quoting.
CREATE FUNCTION pg_temp.shop_raw(kind text, n bigint) RETURNS jsonb IMMUTABLE LANGUAGE sql AS $$
  SELECT CASE n % 5
    WHEN 0 THEN NULL
    WHEN 1 THEN 'null'
    ELSE format('{"id": "%s-%s", "version": %s, "amount": 1.10, "rate": 0.10000000000000000555, "big": 12345678901234567890.1234567890,
      "tiny": 1e-30, "name": "Ñoquis \ud83e\udd5f 日本語", "quote": "\\\" '' \\\\ \\n $1 :x", "list": [1.0, 1, true, null, {}, []]}',
      kind, n, 9007199254740993 + n)
  END::jsonb $$;

CREATE FUNCTION pg_temp.seed_catalogue() RETURNS void LANGUAGE sql AS $$
  INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, started_at, applied_steps_count)
  SELECT pg_temp.shop_id('migration', n), md5('a' || n) || md5('b' || n), at + interval '0.412345 seconds', to_char(at, 'YYYYMMDDHH24MISS') || name, at, 1
  FROM (VALUES (1, '_init'), (2, '_catering'), (3, '_archive_orders')) AS migration (n, name),
    LATERAL (SELECT timestamptz '2024-11-02 10:00:00.123456+00' + n * interval '31 days') AS started (at);

  INSERT INTO profiles (id, email, name, phone, role, created_at, updated_at)
  SELECT pg_temp.shop_id('profile', n), pg_temp.shop_address(n), CASE WHEN n % 9 <> 0 THEN 'Customer ' || n END,
    CASE WHEN n % 4 <> 0 THEN '+1415555' || lpad(n::text, 4, '0') END, 'CUSTOMER', pg_temp.shop_time(n), pg_temp.shop_time(n + 3)
  FROM generate_series(0, 52) AS n;
  INSERT INTO profiles (id, email, name, role, created_at, updated_at) VALUES
    (pg_temp.shop_id('profile', 900), 'owner@destinosf.com', 'Owner', 'ADMIN', '2024-11-02 10:00:00.5', '2024-11-02 10:00:00.5'),
    (pg_temp.shop_id('profile', 901), 'kitchen@destinosf.com', 'Kitchen', 'ADMIN', '2024-11-03 10:00:00.05', '2024-11-03 10:00:00.05');

  INSERT INTO categories (id, name, description, "order", active, slug, metadata, "createdAt", "updatedAt", "squareId")
  SELECT pg_temp.shop_id('category', n), name, 'All the ' || lower(name), n, n <> 4, lower(name), pg_temp.shop_raw('category', n + 1),
    pg_temp.shop_time(n), pg_temp.shop_time(n), 'SQ-CAT-' || n
  FROM (VALUES (1, 'Empanadas'), (2, 'Alfajores'), (3, 'Sauces'), (4, 'Seasonal')) AS category (n, name);

  INSERT INTO products (id, "squareId", name, description, price, images, "categoryId", featured, active, "createdAt", "updatedAt", slug,
    ordinal, inventory, square_version, calories, dietary_preferences, ingredients, allergens, nutrition_facts, custom_attributes, product_type)
  SELECT pg_temp.shop_id('product', n), 'SQ-' || n, 'Product ' || n || ' – "crème" & ñ', E'First line\nsecond\tline\\ with \\N and \\.',
    3.50 + n, CASE WHEN n % 4 = 0 THEN '{}' WHEN n % 4 = 1 THEN ARRAY['a.jpg', 'b "quoted".jpg', NULL, 'NULL', ''] END,
    pg_temp.shop_id('category', 1 + n % 4), n % 5 = 0, n % 11 <> 0, pg_temp.shop_time(n), pg_temp.shop_time(n + 1), 'product-' || n,
    9007199254740993 + n, 100 - n, 9223372036854775807 - n, 150 + n * 10, ARRAY['vegan', 'gluten free'], 'flour, water, salt',
    CASE WHEN n % 3 = 0 THEN ARRAY['nuts'] ELSE '{}' END, pg_temp.shop_raw('facts', n), pg_temp.shop_raw('custom', n + 2), 'food'
  FROM generate_series(1, 24) AS n;

  INSERT INTO variants (id, name, price, "squareVariantId", "productId", "createdAt", "updatedAt")
  SELECT pg_temp.shop_id('variant', n), CASE n % 2 WHEN 0 THEN 'Dozen' ELSE 'Half dozen' END, CASE WHEN n % 7 <> 0 THEN 10.10 + n END,
    'SQ-VAR-' || n, pg_temp.shop_id('product', 1 + n % 24), pg_temp.shop_time(n), pg_temp.shop_time(n)
  FROM generate_series(0, 47) AS n;

  INSERT INTO catering_packages (id, name, description, "minPeople", "pricePerPerson", type, "isActive", "featuredOrder", "dietaryOptions", "createdAt", "updatedAt")
  SELECT pg_temp.shop_id('package', n), 'Package ' || n, 'For every taste', 8 + n, 14.90 + n, (enum_range(NULL::"CateringPackageType"))[1 + n % 4],
    n <> 6, n, ARRAY['vegetarian'], pg_temp.shop_time(n), pg_temp.shop_time(n)
  FROM generate_series(1, 6) AS n;
  INSERT INTO catering_package_items (id, "packageId", "itemName", quantity, "createdAt", "updatedAt")
  SELECT pg_temp.shop_id('package item', n), pg_temp.shop_id('package', 1 + n % 6), 'Item ' || n, n,
    timestamp '2025-02-03 04:05:06.000001' + n * interval '1.000007 seconds', timestamp '2025-02-03 04:05:06.999999'
  FROM generate_series(1, 18) AS n;

  INSERT INTO customer_email_preferences (id, user_id, email, marketing_emails, created_at, updated_at)
  SELECT pg_temp.shop_id('preference', n), CASE WHEN n % 6 <> 0 THEN pg_temp.shop_id('profile', n) END, pg_temp.shop_address(n),
    (enum_range(NULL::"EmailFrequency"))[1 + n % 4], pg_temp.shop_time(n), pg_temp.shop_time(n)
  FROM generate_series(0, 40) AS n;
$$;

CREATE FUNCTION pg_temp.seed_orders(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO orders (id, "squareOrderId", status, total, "userId", "customerName", email, phone, fulfillment_type, notes, pickup_time,
    delivery_date, shipping_cost_cents, "cancelReason", "paymentStatus", "rawData", "createdAt", "updatedAt", tax_amount, delivery_fee, gratuity_amount,
    "isCateringOrder", "paymentMethod", archive_reason, archived_at, archived_by, is_archived, retry_count, version, idempotency_key)
  SELECT pg_temp.shop_id('order', n), CASE WHEN n % 6 <> 0 THEN 'SQ-ORDER-' || n END,
    (ARRAY['COMPLETED', 'DELIVERED', 'PROCESSING', 'READY', 'SHIPPING', 'COMPLETED', 'COMPLETED', 'FULFILLMENT_UPDATED',
      'PAYMENT_FAILED', 'CANCELLED', 'PENDING', 'CANCELLED']::"OrderStatus"[])[1 + state],
    -- every 19th is worth more than 100, some are exactly 100 and exactly one cent more
    CASE WHEN n % 95 = 1 THEN 100.00 WHEN n % 95 = 2 THEN 100.01 WHEN n % 19 = 0 THEN 101.10 + n % 700 ELSE 9.90 + n * 37 % 83 END,
    CASE WHEN n % 3 = 0 THEN pg_temp.shop_id('profile', n % 53) END, 'Customer ' || n % 53, pg_temp.shop_address(n), '+1415555' || lpad((n % 53)::text, 4, '0'),
    (ARRAY['pickup', 'local_delivery', 'nationwide_shipping', NULL])[1 + n % 4],
    (ARRAY[NULL, '', E'tab\there\nnewline \\N \\. "quoted" ''single''', 'ring the bell – 2º piso 🥟', E'\r\n '])[1 + n % 5],
    CASE WHEN n % 4 = 0 THEN at + interval '1 day 0.25 seconds' END, CASE WHEN n % 4 = 1 THEN to_char(at, 'YYYY-MM-DD') END,
    CASE WHEN n % 4 = 2 THEN 1299 END, CASE WHEN state IN (9, 11) THEN 'customer asked' END,
    (ARRAY['PAID', 'COMPLETED', 'PAID', 'PAID', 'PAID', 'COMPLETED', 'PAID', 'REFUNDED',
      'FAILED', 'PENDING', 'PENDING', 'FAILED']::"PaymentStatus"[])[1 + state],
    pg_temp.shop_raw('order', n), at, at + interval '7.005 seconds', 1.10, CASE WHEN n % 4 = 1 THEN 5.00 ELSE 0 END, n % 7 * 0.10,
    n % 31 = 0, (CASE WHEN n % 13 = 0 THEN 'CASH' ELSE 'SQUARE' END)::"PaymentMethod", CASE WHEN n % 29 = 0 THEN 'tidied' END,
    CASE WHEN n % 29 = 0 THEN at + interval '60 days' END, CASE WHEN n % 29 = 0 THEN pg_temp.shop_id('profile', 900) END, n % 29 = 0, n % 3, 1 + n % 4,
    CASE WHEN n % 2 = 0 THEN 'idem-' || n END
  FROM generate_series(first, last) AS n, LATERAL (SELECT pg_temp.shop_state(n) AS state, pg_temp.shop_time(n) AS at) AS fixed;

  INSERT INTO order_items (id, quantity, price, "productId", "variantId", "orderId", "createdAt", "updatedAt")
  SELECT pg_temp.shop_id('order item ' || line || '-', n), 1 + n % 5, 4.50 + line, pg_temp.shop_id('product', 1 + (n + line) % 24),
    CASE WHEN n % 8 <> 0 THEN pg_temp.shop_id('variant', (n + line) % 24) END, pg_temp.shop_id('order', n), pg_temp.shop_time(n), pg_temp.shop_time(n)
  FROM generate_series(first, last) AS n, generate_series(0, n % 3) AS line;

  -- one payment for each order that got so far, a failed first attempt before some
  INSERT INTO payments (id, "squarePaymentId", "orderId", amount, status, "rawData", "createdAt", "updatedAt")
  SELECT pg_temp.shop_id('payment ' || attempt || '-', n), 'SQ-PAY-' || n || '-' || attempt, pg_temp.shop_id('order', n), o.total,
    CASE WHEN attempt = 1 THEN 'FAILED' ELSE o."paymentStatus" END, pg_temp.shop_raw('payment', n + attempt), o."createdAt", o."updatedAt"
  FROM generate_series(first, last) AS n JOIN orders AS o ON o.id = pg_temp.shop_id('order', n), generate_series(0, (n % 10 = 0)::integer) AS attempt
  WHERE o."paymentStatus" <> 'PENDING';

  INSERT INTO refunds (id, "squareRefundId", "paymentId", amount, reason, status, "rawData", "createdAt", "updatedAt")
  SELECT pg_temp.shop_id('refund', n), 'SQ-REF-' || n, p.id, CASE WHEN n % 2 = 0 THEN p.amount ELSE 1.10 END,
    (ARRAY['late', NULL, 'wrong "filling"'])[1 + n % 3], 'COMPLETED', pg_temp.shop_raw('refund', n), p."createdAt", p."updatedAt"
  FROM generate_series(first, last) AS n JOIN payments AS p ON p.id = pg_temp.shop_id('payment 0-', n)
  WHERE p.status = 'REFUNDED' OR n % 37 = 0;

  INSERT INTO email_alerts (id, type, priority, status, "recipientEmail", subject, "sentAt", "retryCount", metadata, "relatedOrderId",
    "relatedUserId", "createdAt", "updatedAt")
  SELECT pg_temp.shop_id('alert ' || copy || '-', n), (enum_range(NULL::"AlertType"))[1 + n % 21], (enum_range(NULL::"AlertPriority"))[1 + n % 4],
    (enum_range(NULL::"AlertStatus"))[1 + n % 3], pg_temp.shop_address(n), 'Order ' || n || ' – gracias', pg_temp.shop_time(n) + interval '2.5 seconds', copy,
    pg_temp.shop_raw('alert', n), CASE WHEN n % 17 <> 0 THEN pg_temp.shop_id('order', n) END,
    CASE WHEN n % 3 = 0 THEN pg_temp.shop_id('profile', n % 53) END, pg_temp.shop_time(n), pg_temp.shop_time(n)
  FROM generate_series(first, last) AS n, generate_series(1, n % 3) AS copy;
$$;

CREATE FUNCTION pg_temp.seed_catering(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO catering_orders (id, "customerId", email, name, phone, "eventDate", "numberOfPeople", "totalAmount", status, notes, "specialRequests",
    "deliveryZone", "deliveryAddress", "deliveryFee", "paymentMethod", "paymentStatus", "squareOrderId", "createdAt", "updatedAt",
    archived_at, archived_by, is_archived, delivery_address_json, metadata, retry_count)
  SELECT pg_temp.shop_id('catering', n), CASE WHEN n % 3 = 0 THEN pg_temp.shop_id('profile', n % 53) END, pg_temp.shop_address(n), 'Customer ' || n % 53,
    '+1415555' || lpad((n % 53)::text, 4, '0'), at + interval '21 days 0.125 seconds', 10 + n % 40,
    CASE WHEN n % 20 = 1 THEN 100.00 WHEN n % 20 = 2 THEN 100.01 WHEN n % 4 = 0 THEN 85.50 ELSE 150.10 + n % 900 END,
    (ARRAY['COMPLETED', 'COMPLETED', 'CONFIRMED', 'PREPARING', 'COMPLETED', 'CONFIRMED', 'COMPLETED', 'CANCELLED',
      'PENDING', 'CANCELLED', 'PENDING', 'CANCELLED']::"CateringStatus"[])[1 + state],
    CASE WHEN n % 2 = 0 THEN E'two\nlines' END, (ARRAY['', NULL, 'sin gluten – ¡gracias! 🎉'])[1 + n % 3], 'SF', n || ' Mission St', 50.00,
    (CASE WHEN n % 13 = 0 THEN 'CASH' ELSE 'SQUARE' END)::"PaymentMethod",
    (ARRAY['PAID', 'COMPLETED', 'PAID', 'PAID', 'PAID', 'COMPLETED', 'PAID', 'REFUNDED',
      'FAILED', 'PENDING', 'PENDING', 'FAILED']::"PaymentStatus"[])[1 + state],
    CASE WHEN n % 6 <> 0 THEN 'SQ-CATERING-' || n END, at, at + interval '3.333 seconds', CASE WHEN n % 29 = 0 THEN at + interval '60 days' END,
    CASE WHEN n % 29 = 0 THEN pg_temp.shop_id('profile', 901) END, n % 29 = 0, pg_temp.shop_raw('address', n), pg_temp.shop_raw('catering', n + 1), n % 2
  FROM generate_series(first, last) AS n,
    LATERAL (SELECT pg_temp.shop_state(n * 5) AS state, pg_temp.shop_time(n * 6) AS at) AS fixed;

  INSERT INTO catering_order_items (id, "orderId", "packageId", "itemType", "itemName", quantity, "pricePerUnit", "totalPrice", notes, "createdAt", "updatedAt")
  SELECT pg_temp.shop_id('catering item ' || line || '-', n), pg_temp.shop_id('catering', n),
    CASE WHEN line = 0 THEN pg_temp.shop_id('package', 1 + n % 6) END, CASE line WHEN 0 THEN 'package' ELSE 'item' END, 'Line ' || line,
    10 + n % 40, 14.90, 14.90 * (10 + n % 40), CASE WHEN n % 5 = 0 THEN '' END,
    timestamp '2025-03-01 12:00:00.000001' + n * interval '1.000003 seconds', timestamp '2025-03-01 12:00:00.999999'
  FROM generate_series(first, last) AS n, generate_series(0, n % 3) AS line;
$$;
